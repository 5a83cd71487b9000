from pathlib import Path

import pytest

from distill_client.client import Distill
from distill_client.credentials import find_api_key, find_url
from distill_client.errors import ClientError


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DISTILL_HOME", str(tmp_path))
    (tmp_path / "admin.key").write_text("dk_embedded\n")
    return tmp_path


def test_the_embedded_services_key_is_found_for_this_machine_only(home: Path) -> None:
    assert find_api_key("http://127.0.0.1:8321") == "dk_embedded"
    assert find_api_key("http://localhost:9000") == "dk_embedded"
    assert find_api_key("http://[::1]:9000") == "dk_embedded"
    assert find_api_key("https://distill.example.org") is None
    assert find_api_key("http://127.0.0.1.example.org") is None
    assert find_api_key("http://10.0.0.7:8321") is None


def test_the_environment_is_asked_before_the_folder(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISTILL_API_KEY", "dk_other")
    assert find_api_key("https://distill.example.org") == "dk_other"


def test_a_service_on_another_port_is_found_through_its_folder(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert find_url() == "http://127.0.0.1:8321"
    (home / "url").write_text("http://127.0.0.1:9000\n")
    assert find_url() == "http://127.0.0.1:9000"
    monkeypatch.setenv("DISTILL_URL", "https://distill.example.org/")
    assert find_url() == "https://distill.example.org/"


def test_no_folder_is_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISTILL_HOME", str(tmp_path / "nowhere"))
    assert find_api_key("http://127.0.0.1:8321") is None


@pytest.mark.parametrize("address", ["example.org", "ftp://example.org", "http://", "http://[::1"])
def test_what_is_no_address_is_refused_with_a_sentence(address: str) -> None:
    with pytest.raises(ClientError, match="is not an address"):
        Distill(address, "dk")
