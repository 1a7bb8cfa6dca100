"""The sign-in from end to end in a real browser, which presses the real button."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator

import pytest
from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from .conftest import PATIENCE

_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # Nothing but loopback: names are not resolved, and no proxy is asked.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--no-proxy-server",
)


@pytest.fixture
def browser(tmp_path, monkeypatch) -> Iterator[Chrome]:
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not driver:
        assert not os.environ.get("CI"), "CI has to have chromium and chromedriver"
        pytest.skip("there is no chromium with chromedriver here")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    options = ChromeOptions()
    options.binary_location = chromium
    for flag in (*_FLAGS, f"--user-data-dir={tmp_path / 'profile'}"):
        options.add_argument(flag)
    opened = Chrome(options=options, service=Service(driver))
    opened.set_page_load_timeout(PATIENCE)
    try:
        yield opened
    finally:
        opened.quit()


def press(browser: Chrome, button: str, then: str) -> None:
    """Presses a button and waits until the page that follows says something."""
    browser.find_element(By.ID, button).click()
    # While one page makes way for the next, its elements may be gone.
    passing = (NoSuchElementException, StaleElementReferenceException)
    waiting = WebDriverWait(browser, PATIENCE, ignored_exceptions=passing)
    waiting.until(lambda b: then in b.find_element(By.TAG_NAME, "body").text)


def test_allow(account, browser):
    running, address = account.begin()
    browser.get(address)
    assert "Allow Simulated command line?" in browser.page_source
    press(browser, "allow", then="The sign-in was received")
    assert running.end() == 0, running.err
    who = json.loads(account.run("whoami", "-o", "json").out)
    assert who["user"]["username"] == "ada-example"
    assert who["source"].startswith("the saved login")


def test_deny(account, browser):
    running, address = account.begin()
    browser.get(address)
    press(browser, "deny", then="The sign-in was refused")
    assert running.end() == 1
    assert "access_denied" in running.err
    assert account.files == []


def test_a_device(account, browser):
    account.sim.oauth.devices.interval_seconds = 0.3
    running = account.start("login", "--device", "--client-id", account.client_id)
    page = running.until("/oauth/device")
    running.until("Waiting")
    (device,) = account.sim.oauth.devices.waiting()
    browser.get(page)
    browser.find_element(By.ID, "user_code").send_keys(device.user_code)
    press(browser, "continue", then="Your device should show this code")
    press(browser, "allow", then="Your device is signed in")
    assert running.end() == 0, running.err
    assert account.run("whoami").process.returncode == 0
