"""What `ocrfleet list` stands on, alone: the package `kubernetes` finds the server, Python's JSON reads its answers.

Run as `python benchmarks/bare_list.py NAMESPACE`, so that nothing of ours is imported.
"""

import gc
import json
import sys
from urllib.parse import urlencode

LABEL = "ocrfleet.io/run"


def main(namespace: str) -> int:
    """Give the number of Jobs and pods."""
    from kubernetes import config

    gc.disable()
    client = config.new_client_from_config()
    headers = {"Accept": "application/json"}
    client.update_params_for_auth(headers, [], ["BearerToken"])
    found = []
    for path in (f"/apis/batch/v1/namespaces/{namespace}/jobs", f"/api/v1/namespaces/{namespace}/pods"):
        query = {"labelSelector": LABEL, "limit": "500"}
        while True:
            address = f"{client.configuration.host}{path}?{urlencode(query)}"
            page = json.loads(client.rest_client.pool_manager.request("GET", address, headers=headers).data)
            found += page["items"]
            if not (rest := page["metadata"].get("continue")):
                break
            query["continue"] = rest
    return len(found)


if __name__ == "__main__":
    print(main(sys.argv[1]))
