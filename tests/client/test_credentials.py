"""Which service is used, and with which key."""

from pathlib import Path

import pytest

from distill_client import Distill
from distill_client.credentials import default_api_key, default_url
from distill_client.errors import ClientError


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DISTILL_HOME", str(tmp_path))
    (tmp_path / "admin.key").write_text("dk_embedded\n")
    return tmp_path


def test_embedded_key_is_for_this_machine_only(home: Path) -> None:
    assert default_api_key("http://127.0.0.1:8321") == "dk_embedded"
    assert default_api_key("http://localhost:9000") == "dk_embedded"
    assert default_api_key("http://[::1]:9000") == "dk_embedded"
    assert default_api_key("https://distill.example.org") is None
    assert default_api_key("http://127.0.0.1.example.org") is None
    assert default_api_key("http://10.0.0.7:8321") is None


def test_environment_takes_precedence_over_the_folder(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISTILL_API_KEY", "dk_other")
    assert default_api_key("https://distill.example.org") == "dk_other"


def test_embedded_service_on_another_port_is_found(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert default_url() == "http://127.0.0.1:8321"
    (home / "url").write_text("http://127.0.0.1:9000\n")
    assert default_url() == "http://127.0.0.1:9000"
    monkeypatch.setenv("DISTILL_URL", "https://distill.example.org/")
    assert default_url() == "https://distill.example.org/"


def test_no_folder_means_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISTILL_HOME", str(tmp_path / "nowhere"))
    assert default_api_key("http://127.0.0.1:8321") is None


@pytest.mark.parametrize("address", ["example.org", "ftp://example.org", "http://", "http://[::1"])
def test_invalid_address_is_refused(address: str) -> None:
    with pytest.raises(ClientError, match="is not an address"):
        Distill(address, "dk")


def test_key_file_may_begin_with_a_byte_order_mark(home: Path) -> None:
    (home / "admin.key").write_bytes(b"\xef\xbb\xbfdk_copied\r\n")
    assert default_api_key("http://127.0.0.1:8321") == "dk_copied"
