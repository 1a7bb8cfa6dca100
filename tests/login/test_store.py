"""Where a login is saved: whole, for its owner alone, and in the keyring where there is one."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import time

import keyring.backends.null
import pytest
from keyring.backend import KeyringBackend

from vercel_sql.auth.login_store import LoginStore, SavedLogin, with_keyring
from vercel_sql.errors import OperationalError

from .conftest import mode

API = "http://127.0.0.1:9"


def login(token: str = "vca_leakmeaccess", **more) -> SavedLogin:
    fields = {"kind": "oauth", "api_url": API, "oauth_url": API, "saved_at": 1}
    return SavedLogin(access_token=token, **{**fields, **more})


class Memory(KeyringBackend):
    """A keyring that works, in this process."""

    priority = 9

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], str] = {}

    def get_password(self, service, username):
        return self.kept.get((service, username))

    def set_password(self, service, username, password):
        self.kept[service, username] = password

    def delete_password(self, service, username):
        del self.kept[service, username]


class Broken(Memory):
    def set_password(self, service, username, password):
        raise RuntimeError("locked: vca_leakmeaccess")


@pytest.fixture
def store(account):
    return LoginStore(API)


@pytest.fixture
def use(monkeypatch):
    """Makes a keyring the one of this platform."""

    def used(backend):
        monkeypatch.delenv("VERCEL_SQL_KEYRING", raising=False)
        monkeypatch.setattr(keyring, "get_keyring", lambda: backend)
        return backend

    return used


def test_the_file_is_for_its_owner_alone(store):
    old = os.umask(0)
    try:
        with store.locked():
            store.write(login())
    finally:
        os.umask(old)
    assert mode(store.path) == 0o600
    assert [mode(path) for path in store.path.parent.iterdir()] == [0o600, 0o600]
    assert mode(store.path.parent) == 0o700
    assert store.read() == (login(), str(store.path))


def test_a_wider_file_is_used_with_a_warning_and_mended_when_it_is_saved(account):
    account.login()
    (path,) = account.files
    path.chmod(0o644)
    ended = account.run("whoami")
    assert ended.process.returncode == 0
    assert "0644" in ended.err
    assert f"chmod 600 {path}" in ended.err
    account.change(expires_at=1)
    assert account.run("whoami").process.returncode == 0
    assert mode(path) == 0o600
    assert account.run("whoami").err == ""


def test_killed_while_saving(store, account):
    """Whenever it is killed, what is there is whole, and the next to save clears up."""
    with store.locked():
        store.write(login("vca_first"))
    script = (
        "import sys\n"
        "from vercel_sql.auth.login_store import LoginStore, SavedLogin\n"
        f"store = LoginStore({API!r})\n"
        "print('ready', flush=True)\n"
        "for number in range(10**9):\n"
        "    token = f'vca_{number:09d}' * 2000\n"
        "    with store.locked():\n"
        f"        store.write(SavedLogin(kind='token', access_token=token, api_url={API!r},\n"
        f"            oauth_url={API!r}, saved_at=1))\n"
    )
    env = {**account.env, "VERCEL_SQL_CONFIG_DIR": str(account.config)}
    for attempt in range(8):
        writer = subprocess.Popen([sys.executable, "-c", script], env=env, stdout=subprocess.PIPE)
        writer.stdout.readline()
        time.sleep(0.05 + attempt * 0.013)
        writer.send_signal(signal.SIGKILL)
        writer.communicate(timeout=30)
        token = store.read()[0].access_token
        assert token == "vca_first" or token == token[:13] * 2000
    with store.locked():
        store.write(login("vca_last"))
    assert sorted(path.suffix for path in store.path.parent.iterdir()) == [".json", ".lock"]
    assert store.read()[0].access_token == "vca_last"


def test_a_disk_that_is_full_leaves_the_old_login(store, monkeypatch):
    with store.locked():
        store.write(login("vca_first"))

        def full(_handle):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(OperationalError, match="No space left"):
            store.write(login("vca_second"))
    assert store.read()[0].access_token == "vca_first"
    assert not list(store.path.parent.glob("*.new"))


@pytest.mark.parametrize("text", ["", "{", "[]", '{"kind": "oauth"}', "\x00", '{"kind": 3}'])
def test_a_damaged_file(store, text):
    with store.locked():
        store.path.write_text(text)
        store.path.chmod(0o600)
    with pytest.raises(OperationalError, match="damaged: vercel-sql logout removes it"):
        store.read()


def test_logout_removes_a_damaged_login(account):
    account.login()
    (path,) = account.files
    path.write_text("{")
    assert account.run("logout").process.returncode == 1
    assert account.files == []


def test_the_keyring_comes_before_the_file(store, use):
    with store.locked():
        store.write(login("vca_inTheFile"))
        memory = use(Memory())
        assert store.write(login("vca_inTheKeyring")) == "the keyring"
    assert not store.path.exists()
    assert store.read() == (login("vca_inTheKeyring"), "the keyring")
    assert list(memory.kept) == [("vercel-sql", API)]
    with store.locked():
        store.forget()
    assert store.read() is None
    assert memory.kept == {}


def test_a_keyring_that_takes_nothing_gives_way_to_the_file(store, use, caplog):
    use(Broken())
    with store.locked():
        assert store.write(login()) == str(store.path)
    assert store.read() == (login(), str(store.path))
    assert "leakme" not in caplog.text


class Plaintext(Memory):
    priority = 0.5


def test_a_keyring_that_keeps_nothing_or_keeps_it_in_the_open_is_not_used(use):
    use(keyring.backends.null.Keyring())
    assert with_keyring(type) is None
    use(Plaintext())
    assert with_keyring(type) is None


def test_the_keyring_can_be_turned_off(use, monkeypatch):
    use(Memory())
    assert with_keyring(type) is Memory
    monkeypatch.setenv("VERCEL_SQL_KEYRING", "off")
    assert with_keyring(type) is None


def test_a_keyring_that_does_not_exist_is_none(account):
    account.login()
    account.env["PYTHON_KEYRING_BACKEND"] = "no.such.Backend"
    del account.env["VERCEL_SQL_KEYRING"]
    account.change(expires_at=1)
    assert account.run("whoami").process.returncode == 0
    assert mode(account.files[0]) == 0o600


def test_a_login_shows_nothing_of_itself():
    secret = login(refresh_token="vcr_leakmerefresh")
    for shown in (
        repr(secret),
        str(secret),
        f"{secret}",
        repr([secret]),
        str(secret.__rich_repr__()),
    ):
        assert "leakme" not in shown
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(secret)


def test_logins_for_different_apis_live_side_by_side(account):
    stores = [LoginStore("http://127.0.0.1:1"), LoginStore("http://127.0.0.1:2")]
    for number, store in enumerate(stores):
        with store.locked():
            store.write(login(f"vca_{number}", api_url=store.api_url))
    assert [store.read()[0].access_token for store in stores] == ["vca_0", "vca_1"]
    stores[0].path.write_text(stores[1].path.read_text())
    with pytest.raises(OperationalError, match="damaged"):
        stores[0].read()


def test_no_id_token_is_ever_kept(account):
    account.login()
    assert not [name for name in json.loads(account.files[0].read_text()) if "id_token" in name]
    assert "eyJ" not in account.files[0].read_text()
