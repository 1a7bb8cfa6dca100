"""What the manifest says of procedures is checked: a name that leads nowhere is an error."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import vercel_sql.manifest
from vercel_sql.errors import ManifestError
from vercel_sql.manifest import Manifest

PACKAGED = Path(vercel_sql.manifest.__file__).parent / "vercel"


@pytest.fixture
def load(tmp_path):
    """Loads the packaged service, with some text of its file replaced."""

    def load(old: str, new: str):
        shutil.copytree(PACKAGED, tmp_path / "manifest")
        file = tmp_path / "manifest" / "authentication.toml"
        assert old in file.read_text()
        file.write_text(file.read_text().replace(old, new))
        return Manifest(tmp_path / "manifest").service("authentication")

    return load


@pytest.mark.parametrize(
    ("old", "new", "names"),
    [
        ('procedure = "rotate"\n', "", ["rotate_token.procedure", "steps and rotation"]),
        ('procedure = "rotate"\n', 'procedure = "spin"\n', ["rotate_token.rotation", "'rotate'"]),
        (
            'steps]]\nmethod = "delete_auth_token"',
            'steps]]\nmethod = "remove"',
            ["rotate_token.steps 5", "'remove'"],
        ),
        ('old = "tokenId"', 'old = "token"', ["rotate_token.rotation.old", "'token'"]),
        ('{ name = "name" }\n#', '{ nam = "name" }\n#', ["rotation.carried", "'nam'"]),
        ('{ name = "name" }\n#', '{ name = "nam" }\n#', ["rotation.carried", "'nam'"]),
        ("{ expiresAt =", "{ expires =", ["rotation.stated", "'expires'"]),
        ('= "expiresAt" }', '= "expires" }', ["rotation.stated", "'expires'"]),
        ('removed = "revokedTokenId"', 'removed = "gone"', ["rotation.gives", "'gone'"]),
        (', notice = "notice"', "", ["rotation.gives", "'notice'"]),
        ('column = "scopes"', 'column = "scope"', ["rotation.token_scope.column", "'scope'"]),
        ('{ team = "teamId" }', '{ team = "team" }', ["rotation.token_scope.narrow", "'team'"]),
        ('["teamId", "slug"]', '["team"]', ["rotation.token_scope.settled_by", "'team'"]),
        ('kind = "type"\n', "", ["kind"]),
        (
            'name = "projectId"\nlocation = "procedure"',
            'name = "project"\nlocation = "procedure"',
            ["rotation: parameters", "'project'"],
        ),
        (
            'name = "email"\nlocation = "body"',
            'name = "email"\nlocation = "procedure"',
            ["email_login.parameters", "email belongs to a procedure"],
        ),
        (
            'name = "email"\nlocation = "body"',
            'name = "email"\nnull = "value"\nlocation = "body"',
            ["email_login.parameters", "email belongs to a procedure"],
        ),
        (
            'self_reference = { column = "tokenId", value = "current" }\n',
            "",
            ["rotate_token.rotation", "a self"],
        ),
    ],
)
def test_a_name_that_leads_nowhere(load, old, new, names):
    with pytest.raises(ManifestError) as raised:
        load(old, new)
    for name in names:
        assert name in str(raised.value)


def test_a_step_may_call_a_method_of_another_resource_of_the_service():
    service = Manifest(PACKAGED).service("oauth")
    resource = service.resources["sign_in"]
    first, second = resource.methods["verify_id_token"].steps
    assert service.called_by(resource, first).resource == "oauth.openid_configuration"
    assert service.called_by(resource, second) is None
