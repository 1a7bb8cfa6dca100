"""The sign-in from end to end in a real browser, which presses the real button."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from selenium.common.exceptions import WebDriverException
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from ..browsers import chromium
from .conftest import PATIENCE


@pytest.fixture
def browser(tmp_path) -> Iterator[Chrome]:
    with chromium(tmp_path / "profile") as opened:
        yield opened


def press(browser: Chrome, button: str, then: str) -> None:
    """Presses a button and waits until the page that follows says something."""
    browser.find_element(By.ID, button).click()
    # While one page makes way for the next, the driver has several errors for what is gone.
    waiting = WebDriverWait(browser, PATIENCE, ignored_exceptions=(WebDriverException,))
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
