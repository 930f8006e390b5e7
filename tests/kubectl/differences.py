"""Why ocrfleet does not do what kubectl does; each sentence is in a decision record (`test_differences.py`)."""

from typing import Final

REDIRECT: Final = (
    "kubectl follows a redirect, and sends its credentials to whatever host it names; ocrfleet follows none: API "
    "servers do not redirect, and a stolen token is worth more."
)
PROMPT: Final = (
    "kubectl asks for a user name and a password where the kubeconfig has no credentials; ocrfleet asks the "
    "server as an anonymous user, and explains its answer: no cluster has taken passwords since Kubernetes 1.19."
)
LOOPBACK: Final = (
    "kubectl sends no credentials to `http://` on this machine; ocrfleet does, unless the cluster has a "
    "`proxy-url`, since nobody on the network can read them."
)
NO_SCHEME: Final = (
    "kubectl takes a server without a scheme for `http://`; ocrfleet refuses it, since `https://` was meant."
)
OIDC: Final = (
    "kubectl renews the token of `auth-provider: oidc`; ocrfleet sends the one in the kubeconfig, and after a 401 "
    "names the kubectl command that renews it: the package does not check the provider's certificate, and cannot "
    "save the new token."
)
TOKEN_FILE: Final = (
    "kubectl reads a token file once a minute; ocrfleet reads it for each request, so a renewed token is used at once."
)
DOCUMENTS: Final = "kubectl reads the first YAML document of a kubeconfig; ocrfleet refuses a file of several."
NAMESPACE: Final = "kubectl asks the server about a namespace that cannot exist; ocrfleet refuses its name first."
SCHEME: Final = (
    "kubectl takes any scheme of a proxy in the environment for http; ocrfleet refuses those that it does not speak."
)
