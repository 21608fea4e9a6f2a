"""`alertmanagers` in the configuration: taken whole, or every fault named with its key."""

from pathlib import Path

import pytest

from receiver.cli import config
from receiver.law.lined_yaml import FaultyFile
from receiver.settings import AlertmanagerSettings

MINIMAL = """\
prometheus: {url: http://127.0.0.1:9090}
authentication: {bearer_tokens: [{file: token}]}
services: [{name: voice, kind: voice, emergency_calls: true, match: ['service="voice"']}]
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "token").write_text("secret-of-the-tests")
    return tmp_path / "config.yaml"


def load(file: Path, alertmanagers: str) -> tuple[AlertmanagerSettings, ...]:
    file.write_text(f"{MINIMAL}alertmanagers: {alertmanagers}\n")
    return config.load(file)[0].alertmanagers


def test_secrets_and_certificates_lie_beside_the_configuration(file: Path) -> None:
    one, other = load(
        file,
        """[{url: http://a:9093, bearer_token: {file: token}},
        {url: http://b/alertmanager, basic: {username: noc, password: {file: token}},
        headers: {X-Scope-OrgID: t}}]""",
    )
    assert one.bearer_token
    assert one.bearer_token.read().reveal() == "secret-of-the-tests"
    assert other.basic
    assert other.basic.password.file == str(file.parent / "token")


@pytest.mark.parametrize(
    ("alertmanagers", "key", "what"),
    [
        ("[{url: http://a:9093}, {url: http://a:9093/}]", "alertmanagers[1].url", "given twice"),
        ("[{url: 127.0.0.1:9093}]", "alertmanagers[0].url", ""),
        ("[{url: http://a, bearer_token: {file: gone}}]", "alertmanagers[0].bearer_token", "cannot be read"),
        ("[{url: http://a, basic: {username: a, password: {env: ART58_NOT_THERE}}}]", "alertmanagers[0].basic.password", "not set"),
        (
            "[{url: http://a, bearer_token: {file: token}, basic: {username: a, password: {file: token}}}]",
            "alertmanagers[0].basic",
            "beside",
        ),
        ("[{url: http://a, headers: {Authorization: x}}]", "alertmanagers[0].headers.Authorization", "secret"),
        ("[{url: http://a, tls: {ca_file: ca.pem}}]", "alertmanagers[0].tls", "no address begins with https"),
        ("[{url: https://a, tls: {ca_file: ca.pem}}]", "alertmanagers[0].tls.ca_file", "cannot be used"),
        ("[{url: http://a, timeout: 5}]", "alertmanagers[0].timeout", ""),
    ],
)
def test_every_fault_is_named_with_its_key(file: Path, alertmanagers: str, key: str, what: str) -> None:
    with pytest.raises(FaultyFile) as faulty:
        load(file, alertmanagers)
    assert any(fault.key == key and what in fault.wrong for fault in faulty.value.faults), faulty.value.faults
