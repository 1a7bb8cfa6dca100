"""Device authorization: a code on the device, a button in the browser, a poll that waits."""

import pytest

AUTHORIZATION = "/login/oauth/device-authorization"


@pytest.fixture
def device(app):
    """A device that has asked, and what it was told."""

    class Device:
        def __init__(self, **form):
            form = {"client_id": app.client.client_id, **form}
            response = app.http.post(AUTHORIZATION, data=form)
            assert response.status_code == 200, response.text
            self.told = response.json()

        def poll(self, wait=None):
            app.simulator.advance(self.told["interval"] if wait is None else wait)
            form = {"grant_type": app.DEVICE_GRANT, "client_id": app.client.client_id}
            return app.post(form | {"device_code": self.told["device_code"]})

    return Device


def test_what_a_device_is_told(app, device):
    told = device().told
    assert set(told) == {
        *("device_code", "user_code", "verification_uri", "verification_uri_complete"),
        *("expires_in", "interval"),
    }
    assert told["verification_uri"] == f"{app.simulator.url}/oauth/device"
    assert told["verification_uri_complete"].endswith(f"?user_code={told['user_code']}")
    assert (told["expires_in"], told["interval"]) == (600, 5)
    assert len(told["user_code"]) == 9
    discovered = app.http.get("/.well-known/openid-configuration").json()
    assert discovered["device_authorization_endpoint"] == app.simulator.url + AUTHORIZATION


def test_allowing_in_the_browser_signs_the_device_in(app, device):
    asking = device(scope="openid offline_access")
    assert app.error(asking.poll()) == "authorization_pending"
    page = app.page(app.http.get(asking.told["verification_uri_complete"]))
    assert asking.told["user_code"] in page.text
    assert app.client.name in page.text
    done = page.press(app.http, "allow")
    assert "signed in" in app.page(done).text
    response = asking.poll()
    assert response.status_code == 200
    tokens = response.json()
    assert tokens["scope"] == "openid offline_access"
    assert app.claims(tokens["id_token"])
    assert not app.is_dead(tokens["access_token"])
    assert app.refresh(tokens["refresh_token"]).status_code == 200
    assert app.error(asking.poll()) == "invalid_grant", "a device code works once"


def test_denying_in_the_browser_ends_it(app, device):
    asking = device()
    page = app.page(app.http.get(asking.told["verification_uri_complete"]))
    assert "not signed in" in app.page(page.press(app.http, "deny")).text
    assert app.error(asking.poll()) == "access_denied"
    assert page.press(app.http, "allow").status_code == 400
    assert app.http.get(asking.told["verification_uri_complete"]).status_code == 400


def test_a_person_may_type_the_code(app, device):
    uri, code = (device().told[name] for name in ("verification_uri", "user_code"))
    page = app.page(app.http.get(uri))
    assert page.method == "get"
    assert "continue" in page.buttons
    typed = app.http.get(uri, params={"user_code": f" {code.lower().replace('-', ' ')}"})
    assert "allow" in app.page(typed).buttons
    assert app.http.get(uri, params={"user_code": "AAAA-AAAA"}).status_code == 400
    assert app.http.get(uri, params={"user_code": [code, code]}).status_code == 400


def test_a_device_that_asks_too_often_has_to_slow_down(app, device):
    asking = device()
    assert app.error(asking.poll(0)) == "authorization_pending"
    assert app.error(asking.poll(4)) == "slow_down"
    assert app.error(asking.poll(6)) == "slow_down", "the interval grew to ten seconds"
    assert app.error(asking.poll(16)) == "authorization_pending"


def test_the_interval_can_be_shorter_for_tests_that_wait(app, device):
    app.simulator.oauth.devices.interval_seconds = 0.2
    asking = device()
    assert asking.told["interval"] == 0.2
    assert app.error(asking.poll()) == "authorization_pending"
    assert app.error(asking.poll()) == "authorization_pending"


def test_a_device_code_expires(app, device):
    asking = device()
    page = app.page(app.http.get(asking.told["verification_uri_complete"]))
    app.simulator.advance(601)
    assert app.error(asking.poll()) == "expired_token"
    assert page.press(app.http, "allow").status_code == 400
    assert app.http.get(asking.told["verification_uri_complete"]).status_code == 400


def test_a_device_code_is_for_its_own_client(app, web, device):
    asking = device()
    app.simulator.oauth.authorize_device()
    form = {"grant_type": app.DEVICE_GRANT, "client_id": web.client.client_id, **web.secret()}
    refused = web.post(form | {"device_code": asking.told["device_code"]})
    assert web.error(refused) == "invalid_grant"
    assert web.error(web.post(form | {"device_code": "guessed"})) == "invalid_grant"
    assert web.error(web.post(form)) == "invalid_request"
    assert asking.poll().status_code == 200


def test_a_person_can_be_stood_in_for(app, device, control):
    one, other = device(), device()
    assert control("authorize", {"user_code": one.told["user_code"]}) == {"answered": 1}
    assert one.poll().status_code == 200
    assert app.simulator.oauth.authorize_device(approve=False) == 1, "all that wait"
    assert app.error(other.poll()) == "access_denied"
    control("authorize", {"user_code": one.told["user_code"]}, status=404)
    with pytest.raises(LookupError):
        app.simulator.oauth.authorize_device()


@pytest.mark.parametrize(
    ("form", "error", "status"),
    [
        ({}, "invalid_request", 400),
        ({"client_id": "nobody"}, "invalid_client", 401),
        ({"client_id": "WEB"}, "invalid_client", 401),
        ({"client_id": "APP", "scope": "admin"}, "invalid_scope", 400),
    ],
)
def test_wrong_requests_are_refused(app, web, form, error, status):
    ids = {"APP": app.client.client_id, "WEB": web.client.client_id}
    form = {name: ids.get(value, value) for name, value in form.items()}
    assert app.error(app.http.post(AUTHORIZATION, data=form), status) == error
