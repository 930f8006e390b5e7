"""How a bucket is reached: variables and profiles as for the AWS tools, and refusals that name what is wrong."""

import os
import string
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import trustme
from boto3.session import Session
from botocore.config import Config

from trainer import contract
from trainer.contract import ExitCode
from trainer.errors import AccessError, OcrfleetError, SpecError
from trainer.storage import open_store, settings
from trainer.storage.settings import Settings

KEYS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "hushhush", "AWS_CONFIG_FILE": os.devnull}


def refusal(location: str = "s3://bucket/x", **environ: str) -> OcrfleetError:
    with pytest.raises(OcrfleetError) as caught:
        open_store(location, environ={**KEYS, **environ})
    assert "hushhush" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("localhost:9000", "AWS_ENDPOINT_URL is 'localhost:9000'. Begin it with http:// or https://."),
        ("s3.example.com", "AWS_ENDPOINT_URL is 's3.example.com'. Begin it with http:// or https://."),
        ("ftp://s3.example.com", "AWS_ENDPOINT_URL is 'ftp://s3.example.com'. Begin it with http:// or https://."),
        (" http://s3", "AWS_ENDPOINT_URL is ' http://s3', with a blank or a control character. Remove it."),
        ("http://s3 ", "AWS_ENDPOINT_URL is 'http://s3 ', with a blank or a control character. Remove it."),
        ("http://s3\n", "AWS_ENDPOINT_URL is 'http://s3\\n', with a blank or a control character. Remove it."),
        ("http://me:hushhush@s3", "AWS_ENDPOINT_URL has a user name or a password. Remove it"),
        ("http://me:hush/@hushhush@s3", "AWS_ENDPOINT_URL has a user name or a password. Remove it"),
        ("me:hushhush@s3:9000", "AWS_ENDPOINT_URL has a user name or a password. Remove it"),
        ("http://s3/?token=hushhush", "AWS_ENDPOINT_URL has a query or a fragment. Remove it"),
        ("s3:9000?token=hushhush ", "AWS_ENDPOINT_URL has a query or a fragment. Remove it"),
        ("http://s3#hushhush", "AWS_ENDPOINT_URL has a query or a fragment. Remove it"),
        *(
            (url, f"AWS_ENDPOINT_URL is {url!r}. Write https://HOST or http://HOST:PORT, optionally with a path.")
            for url in ("http://", "http:///x", "http://:9000", "http://s3:x", "http://s3:65536", "http://s3:0")
        ),
        *(
            (url, f"AWS_ENDPOINT_URL is {url!r}. Write https://HOST or http://HOST:PORT, optionally with a path.")
            for url in ("http://[::1", "http://s%20", 'http://s3/"', "http://ü.example", "http://s3/<b>")
        ),
    ],
)
def test_an_endpoint_that_cannot_be_one_is_refused_in_a_sentence(url: str, sentence: str) -> None:
    error = refusal(AWS_ENDPOINT_URL=url)
    assert str(error).startswith(sentence)
    assert error.exit_code is ExitCode.SPEC


class Refusing(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_error(403)

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_no_accepted_endpoint_bucket_or_region_ends_the_client() -> None:
    """Its own check is a panic: an exception that nothing catches."""
    asked = 0
    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        host, port = "127.0.0.1", server.server_port
        for sign in [*string.punctuation, *string.whitespace, *"a0ü\x00\x7f\u2028"]:
            for where in (
                {"url": f"http://{host}{sign}x:{port}", "patience": "0.001"},  # no such host
                {"url": f"http://{host}:{port}/a{sign}b"},
                {"url": f"http://{host}:{port}{sign}"},
                {"bucket": f"a{sign}b"},
                {"region": f"a{sign}b"},
                {"key": f"a{sign}b"},
            ):
                environ = {
                    **KEYS,
                    "AWS_ENDPOINT_URL": where.get("url", f"http://{host}:{port}"),
                    "AWS_REGION": where.get("region", "eu-central-1"),
                    "AWS_ACCESS_KEY_ID": where.get("key", "key"),
                }
                patience = float(where.get("patience", "5"))
                try:
                    open_store(f"s3://{where.get('bucket', 'b')}/", environ=environ, patience=patience).list()
                except OcrfleetError as error:
                    asked += "status 403" in str(error)
        server.shutdown()
    assert asked > 50


@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"])
@pytest.mark.parametrize("value", ["hushhush\n", " hushhush", "hush hush", "hushhüsh"])
def test_a_key_with_a_line_break_is_refused_and_not_shown(name: str, value: str) -> None:
    error = refusal(**{name: value})
    assert str(error).startswith(f"{name} has a blank, a line break or another character that no key has.")
    assert "hush" not in str(error)
    assert type(error) is AccessError


@pytest.mark.parametrize(
    "arn", ["arn:aws:s3:eu-central-1:123456789012:accesspoint/slips", "arn:aws:s3::123456789012:accesspoint/a.mrap"]
)
def test_an_access_point_is_refused_by_its_arn(arn: str) -> None:
    assert str(refusal(f"s3://{arn}/train/")).endswith(
        "is an ARN. Use the name of the bucket, or the alias of the access point, which ends in -s3alias."
    )


@pytest.mark.parametrize("bucket", ["a b", "ü", 'a"', "-a", "a?b", "key:hushhush@bucket", "a%20b"])
def test_a_name_that_no_bucket_has_is_refused(bucket: str) -> None:
    assert str(refusal(f"s3://{bucket}/x")).startswith("The bucket ")


@pytest.mark.parametrize(
    ("environ", "sentence"),
    [
        ({"AWS_REGION": "us east"}, "AWS_REGION is 'us east'. Write a region such as eu-central-1."),
        ({"AWS_DEFAULT_REGION": "a\n"}, "AWS_DEFAULT_REGION is 'a\\n'. Write a region such as eu-central-1."),
        ({"AWS_CA_BUNDLE": "/none.pem"}, "AWS_CA_BUNDLE is '/none.pem', which cannot be read: No such file"),
        ({"AWS_CA_BUNDLE": "/dev/null"}, "AWS_CA_BUNDLE is '/dev/null', which is not a file of PEM certificates."),
        ({contract.ENV_S3_ADDRESSING: "host"}, "OCRFLEET_S3_ADDRESSING is 'host'. Set it to path, virtual or auto."),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(environ: dict[str, str], sentence: str) -> None:
    error = refusal(**environ)
    assert str(error).startswith(sentence)
    assert error.exit_code is ExitCode.SPEC


def test_a_variable_that_only_the_client_reads_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CHECKSUM_ALGORITHM", "none-such")
    with pytest.raises(SpecError, match="refuses a setting: AWS_CHECKSUM_ALGORITHM"):
        open_store("s3://b/", environ={**KEYS, "AWS_CHECKSUM_ALGORITHM": "none-such"})


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "config"


def of(config: Path, text: str, **environ: str) -> Settings:
    config.write_text(text, "utf-8")
    return settings.read({"AWS_CONFIG_FILE": str(config), "AWS_SHARED_CREDENTIALS_FILE": "/none", **environ})


def test_settings_come_from_the_profile(config: Path, tmp_path: Path) -> None:
    authority = trustme.CA().cert_pem
    authority.write_to_path(tmp_path / "ca.pem")
    text = f"""
        [default]
        region = eu-west-1
        [profile team]
        region = eu-central-1
        endpoint_url = https://store.example/s3/
        ca_bundle = {tmp_path / "ca.pem"}
        s3 =
          addressing_style = virtual
        """.replace(" " * 8, "")
    assert of(config, text, AWS_PROFILE="team") == Settings(
        endpoint="https://store.example/s3",
        region="eu-central-1",
        addressing="virtual",
        authorities=authority.bytes(),
    )
    assert of(config, text) == Settings(endpoint=None, region="eu-west-1", addressing="auto", authorities=None)


def test_a_variable_is_before_the_profile_and_a_service_before_all_services(config: Path) -> None:
    text = "[default]\nregion = a\nendpoint_url = http://all\nservices = mine\n"
    text += "[services mine]\ns3 =\n  endpoint_url = {}\n"
    assert of(config, text.format("http://s3")).endpoint == "http://s3"
    assert of(config, text.format("http://s3"), AWS_ENDPOINT_URL="http://variable").endpoint == "http://variable"
    both = {"AWS_ENDPOINT_URL": "http://variable", "AWS_ENDPOINT_URL_S3": "http://mine"}
    assert of(config, text.format("http://s3"), **both).endpoint == "http://mine"
    assert of(config, text.format("http://s3"), AWS_REGION="b", AWS_DEFAULT_REGION="c").region == "b"
    assert of(config, text.format("http://s3"), AWS_ENDPOINT_URL="", AWS_REGION="").region == "a"


def test_an_addressing_style_in_the_environment_is_before_the_profile(config: Path) -> None:
    text = "[default]\ns3 =\n  addressing_style = virtual\n"
    assert of(config, text).addressing == "virtual"
    assert of(config, text, **{contract.ENV_S3_ADDRESSING: "path"}).addressing == "path"


def test_a_profile_of_the_credentials_file_may_have_settings_too(tmp_path: Path) -> None:
    keys = tmp_path / "credentials"
    keys.write_text("[team]\naws_access_key_id = a\nregion = eu-north-1\n", "utf-8")
    environ = {"AWS_SHARED_CREDENTIALS_FILE": str(keys), "AWS_CONFIG_FILE": "/none", "AWS_PROFILE": "team"}
    assert settings.read(environ).region == "eu-north-1"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "[default]\nendpoint_url = store:9000\n",
            "endpoint_url in the profile 'default' of {} is 'store:9000'. Begin",
        ),
        ("[default]\ns3 =\n  addressing_style = host\n", "addressing_style in the profile 'default' of {} is 'host'."),
        ("[default\n", "Unable to parse config file: {} Correct the file"),
    ],
)
def test_a_setting_of_a_profile_is_named_with_its_file(config: Path, text: str, sentence: str) -> None:
    with pytest.raises(SpecError) as caught:
        of(config, text)
    assert str(caught.value).startswith(sentence.format(config))


@pytest.mark.parametrize(
    ("endpoint", "addressing", "bucket", "base"),
    [
        (None, "auto", "slips", ("https://slips.s3.eu-central-1.amazonaws.com", True)),
        (None, "virtual", "slips", ("https://slips.s3.eu-central-1.amazonaws.com", True)),
        (None, "path", "slips", ("https://s3.eu-central-1.amazonaws.com", False)),
        (None, "auto", "slips.example", ("https://s3.eu-central-1.amazonaws.com", False)),
        (None, "auto", "Slips_1", ("https://s3.eu-central-1.amazonaws.com", False)),
        ("https://store:9000/s3", "auto", "slips", ("https://store:9000/s3", False)),
        ("https://store:9000/s3", "path", "slips", ("https://store:9000/s3", False)),
        ("https://store:9000/s3", "virtual", "slips", ("https://slips.store:9000/s3", True)),
        ("https://store", "virtual", "slips.example", ("https://store", False)),
        ("http://store", "virtual", "slips.example", ("http://slips.example.store", True)),
        ("http://10.0.0.1:9000", "virtual", "slips", ("http://10.0.0.1:9000", False)),
        ("http://[::1]", "virtual", "slips", ("http://[::1]", False)),
        ("http://10.0.0.1.example", "virtual", "slips", ("http://slips.10.0.0.1.example", True)),
    ],
)
def test_a_bucket_is_addressed_as_by_the_aws_tools(
    endpoint: str | None, addressing: Any, bucket: str, base: tuple[str, bool]
) -> None:
    made = Settings(endpoint=endpoint, region="eu-central-1", addressing=addressing, authorities=None)
    assert made.base(bucket) == base


def test_buckets_of_china_have_a_domain_of_their_own() -> None:
    made = Settings(endpoint=None, region="cn-north-1", addressing="auto", authorities=None)
    assert made.base("slips") == ("https://slips.s3.cn-north-1.amazonaws.com.cn", True)


@pytest.mark.parametrize(
    "endpoint", [None, "https://store:9000/s3", "http://store", "http://10.0.0.1", "http://[::1]:9"]
)
@pytest.mark.parametrize("style", ["path", "virtual"])
def test_requests_go_where_boto3_sends_them(endpoint: str | None, style: Any) -> None:
    made = Settings(endpoint=endpoint, region="eu-central-1", addressing=style, authorities=None)
    session = Session(aws_access_key_id="a", aws_secret_access_key="b", region_name="eu-central-1")
    with closing(session.client("s3", endpoint_url=endpoint, config=Config(s3={"addressing_style": style}))) as client:
        for bucket in ("slips", "slips-1", "Slips_1"):
            theirs = client.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "key"})
            base, virtual = made.base(bucket)
            assert theirs.partition("?")[0] == (f"{base}/key" if virtual else f"{base}/{bucket}/key")


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"AWS_PROFILE": "team"},
        {"AWS_PROFILE": "other"},
        {"AWS_PROFILE": "keys"},
        {"AWS_PROFILE": "team", "AWS_DEFAULT_PROFILE": "other"},
        {"AWS_PROFILE": "team", "AWS_ENDPOINT_URL": "http://variable", "AWS_DEFAULT_REGION": "region-6"},
        {"AWS_PROFILE": "other", "AWS_ENDPOINT_URL": "http://variable", "AWS_ENDPOINT_URL_S3": "http://s3-variable"},
    ],
)
def test_profiles_and_variables_mean_what_they_mean_to_boto3(
    environ: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config").write_text(
        "[default]\nregion = region-1\n"
        "[profile team]\nregion = region-2\nendpoint_url = http://team\n"
        "[profile other]\nregion = region-3\nendpoint_url = http://other\nservices = mine\n"
        "[profile keys]\nregion = region-4\nendpoint_url = http://keys\n"
        "[services mine]\ns3 =\n  endpoint_url = http://mine\n",
        "utf-8",
    )
    (tmp_path / "credentials").write_text("[keys]\nregion = region-5\naws_access_key_id = a\n", "utf-8")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    read = settings.read(os.environ)
    with closing(Session().client("s3", aws_access_key_id="a", aws_secret_access_key="b")) as client:
        assert client.meta.region_name == read.region
        theirs = client.meta.endpoint_url
        assert read.endpoint == (None if "amazonaws" in theirs else theirs)
