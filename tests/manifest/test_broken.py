"""A broken manifest is an error that names the file and the key."""

from __future__ import annotations

from pathlib import Path

import pytest

from vercel_sql.errors import ManifestError
from vercel_sql.manifest import Manifest

PROVIDER = """
name = "vercel"
title = "Vercel"
token_environment = "VERCEL_TOKEN"
[[accounts]]
resource = "s.r"
method = "get"
key = "id"
labels = []
[roles.tokens]
resource = "s.r"
columns = { id = "id", made = "made" }
[servers.api]
url = "https://api.vercel.com"
environment = "VERCEL_API_URL"
[services]
s = ["r"]
"""
SERVICE = """
name = "s"
description = "A service."
[types]
pair = "STRUCT(a VARCHAR)"
[resources.r]
description = "A resource."
key = "id"
request_key = "rid"
self_reference = { column = "rid", value = "me" }
hints = { begins = "id", ends = "name" }
[[resources.r.columns]]
name = "id"
type = "VARCHAR"
description = "The key."
[[resources.r.columns]]
name = "rid"
source = "request"
type = "VARCHAR"
description = "What was asked for."
[[resources.r.columns]]
name = "name"
type = "VARCHAR"
description = "What it is called."
[[resources.r.columns]]
name = "made"
type = "BIGINT"
description = "When it was made."
[resources.r.methods.get]
verb = "select"
http = "GET"
path = "/r/{rid}"
description = "Gets one."
effect = "read"
retry = "safe"
echoes.rid = { path = ["id"] }
[[resources.r.methods.get.parameters]]
name = "rid"
location = "path"
type = "VARCHAR"
required = true
description = "Which one."
[resources.r.methods.list]
verb = "select"
http = "GET"
path = "/r"
description = "Lists them."
effect = "read"
retry = "safe"
[resources.r.methods.list.paging]
cursor = ["next"]
count = ["count"]
parameter = "until"
size_parameter = "limit"
size = 100
order = "made"
[resources.r.methods.make]
verb = "insert"
http = "POST"
path = "/r"
description = "Makes one."
effect = "write"
retry = "refused"
trace = { key = ["id"], matches = { name = "title" }, since = "made" }
[[resources.r.methods.make.parameters]]
name = "title"
location = "body"
type = "VARCHAR"
[[resources.r.methods.make.returns]]
name = "password"
type = "VARCHAR"
secret = true
description = "Shown once."
[views.v.r]
description = "A view."
query = "SELECT 1"
[views.v.r.comments]
"""


@pytest.fixture
def write(tmp_path):
    """Writes a manifest of one service, with some text of its files replaced."""

    def write(old: str = "", new: str = "", *, provider: str = PROVIDER) -> Manifest:
        assert not old or old in SERVICE + PROVIDER
        (tmp_path / "provider.toml").write_text(provider.replace(old, new) if old else provider)
        (tmp_path / "s.toml").write_text(SERVICE.replace(old, new) if old else SERVICE)
        return Manifest(Path(tmp_path))

    return write


def test_the_unbroken_one_is_read(write):
    service = write().service("S")
    assert service.resources["r"].methods["get"].resource == "s.r"


@pytest.mark.parametrize(
    ("old", "new", "names"),
    [
        ('effect = "read"\n', "", ["effect", "$.resources[...].methods[...]"]),
        ('effect = "read"', 'effect = "maybe"', ["effect"]),
        ('effect = "read"', 'effects = "read"', ["effects"]),
        ('http = "GET"', 'http = "FETCH"', ["http"]),
        ('verb = "select"', 'verb = "merge"', ["verb"]),
        ('location = "path"', 'location = "header"', ["location"]),
        ("required = true", 'required = "yes"', ["required", "bool"]),
        ('source = "request"', 'source = "elsewhere"', ["source"]),
        ('key = "id"\nrequest', "key = 5\nrequest", ["key", "str"]),
        ('key = "id"\nrequest', 'key = "nope"\nrequest', ["resources.r.key", "'nope'"]),
        ('ends = "name"', 'ends = "end"', ["resources.r", "hints", "end"]),
        ('order = "made"', 'order = "age"', ["methods.list", "paging.order", "age"]),
        ("echoes.rid", "echoes.id", ["methods.get.echoes", "'id'"]),
        ('request_key = "rid"', 'request_key = "no"', ["resources.r", "'no'"]),
        ('column = "rid"', 'column = "no"', ["resources.r.self_reference.column"]),
        ('name = "rid"\nsource', 'name = "ID"\nsource', ["resources.r.columns", "twice"]),
        ("/r/{rid}", "/r", ["resources.r.methods.get.path"]),
        ("/r/{rid}", "/r/{other}", ["resources.r.methods.get.path", "other"]),
        ('retry = "safe"', 'retry = "safe"\nserver = "x"', ["resources.r.methods.get.server"]),
        (
            'effect = "read"\nretry = "safe"',
            'effect = "write"\nretry = "safe"',
            ["resources.r.methods.get.retry"],
        ),
        ('since = "made"', 'since = "name"', ["resources.r.methods.make.trace.since", "name"]),
        ('since = "made"', 'since = "when"', ["resources.r.methods.make.trace", "'when'"]),
        ("{ name =", "{ names =", ["resources.r.methods.make.trace", "'names'"]),
        ('{ name = "title" }', '{ name = "titel" }', ["make.trace.matches", "'titel'"]),
        ('{ name = "title" }', "{ }", ["resources.r.methods.make.trace"]),
        ('trace = { key = ["id"]', "trace = { key = []", ["resources.r.methods.make.trace"]),
        (
            'location = "body"\ntype',
            'location = "body"\nsecret = true\ntype',
            ["make.trace.matches", "'title'"],
        ),
        ("secret = true\ndesc", "desc", ["resources.r.methods.make.trace", "secret"]),
        (
            'verb = "select"\nhttp = "GET"\npath = "/r"',
            'verb = "exec"\nhttp = "GET"\npath = "/r"',
            ["make.trace", "no listing"],
        ),
        ('query = "SELECT 1"', 'query = " "', ["views.v.r.query"]),
        ('s = ["r"]', 's = ["other"]', ["resources", "other"]),
        ('id", made = "made"', 'id", made = "mode"', ["roles: s.r", "'mode'"]),
        ('resource = "s.r"\ncolumns', 'resource = "s.x"\ncolumns', ["roles: s.x"]),
        ('[types]\npair = "STRUCT(a VARCHAR)"', "[types]\npair = 1", ["types"]),
        ("[types]", "[types", ["TOML"]),
        (
            'type = "VARCHAR"\ndescription = "The key."',
            'type = "$no"\ndescription = "K"',
            ["$no", "'id'"],
        ),
        ('type = "VARCHAR"\ndescription = "The key."', 'type = "$"\ndescription = "K"', ["'$'"]),
    ],
)
def test_each_kind_of_breakage_names_file_and_key(write, old, new, names):
    manifest = write(old, new)
    with pytest.raises(ManifestError) as raised:
        manifest.service("s")
    text = str(raised.value)
    assert text.startswith("s.toml: ")
    assert all(name in text for name in names), text


@pytest.mark.parametrize(
    ("old", "new", "names"),
    [
        ('title = "Vercel"\n', "", ["title"]),
        ('title = "Vercel"', 'tittle = "Vercel"', ["tittle"]),
        ('s = ["r"]', 's = "r"', ["services"]),
        ("[services]", "[services]]", ["TOML"]),
        ('url = "https://api.vercel.com"\n', "", ["url", "servers"]),
    ],
)
def test_a_broken_provider_file(write, old, new, names):
    with pytest.raises(ManifestError) as raised:
        _ = write(provider=PROVIDER.replace(old, new)).provider
    assert str(raised.value).startswith("provider.toml: ")
    assert all(name in str(raised.value) for name in names), str(raised.value)


def test_a_missing_file(tmp_path):
    with pytest.raises(ManifestError, match=r"provider.toml: the manifest file is missing"):
        _ = Manifest(tmp_path).provider
    (tmp_path / "provider.toml").write_text(PROVIDER)
    with pytest.raises(ManifestError, match=r"s.toml: the manifest file is missing"):
        Manifest(tmp_path).service("s")


def test_an_unknown_service_is_a_key_error(write):
    with pytest.raises(KeyError):
        write().service("nope")


def test_services_are_read_when_they_are_first_used(tmp_path):
    (tmp_path / "provider.toml").write_text(PROVIDER + 'broken = ["x"]\n')
    (tmp_path / "s.toml").write_text(SERVICE)
    (tmp_path / "broken.toml").write_text("this is not TOML")
    manifest = Manifest(tmp_path)
    assert manifest.service_names == ["s", "broken"]
    assert manifest.loaded == []
    assert manifest.service("s") is manifest.service("S")
    assert manifest.loaded == ["s"]
    with pytest.raises(ManifestError, match=r"broken.toml"):
        manifest.service("broken")
