"""A notebook in a real kernel: the file that people commit, and what it leaves behind."""

from __future__ import annotations

from .conftest import PLANTED, T

OAUTH = (
    "vercel.oauth.sign_in.authorize_url @client_id = 'cl_1', @redirect_uri = 'http://127.0.0.1/'"
)


def test_what_a_notebook_saves(at_home, kernel, sim):
    """Results, reprs, an error that is caught, and one with all variables of its frames."""
    secret = f"open({str(at_home.file('secret', PLANTED))!r}).read()"
    cells = [
        "%load_ext vercel_sql\nimport logging, os, vercel_sql\n"
        f"logging.basicConfig(filename={str(at_home.log)!r}, level=logging.DEBUG, force=True)\n"
        f"con = vercel_sql.connect(oauth_url=os.environ['VERCEL_API_URL'], attempts=1,\n"
        f"    audit_log={str(at_home.home / 'audit.jsonl')!r})",
        "%vercel --connection con",
        f"%vercel INSERT INTO {T} (name) SELECT 'kept' RETURNING bearerToken,"
        " upper(bearerToken) AS loud, reverse(bearerToken) AS back, md5(bearerToken) AS hash",
        f"%%vercel\nEXEC {OAUTH}",
        "con",
        "con.client",
        "_vercel_1",
        "_vercel_2",
        "secret = os.environ['VERCEL_TOKEN']\n"
        "try:\n"
        "    get_ipython().run_line_magic('vercel', 'SELECT $secret::INT')\n"
        "except vercel_sql.Error as error:\n"
        "    print(error, repr(error))",
        "%config InteractiveShell.xmode = 'Verbose'",
        f"con.execute(\"EXEC {T}.verify_token @token = $t\", {{'t': {secret}}})",
    ]
    ran = kernel(*cells)
    at_home.show("what the last cell failed with", ran.failure)
    at_home.show("the notebook's file", ran.saved)
    at_home.show_folder(at_home.home.parent / "ipython")
    assert "403" in ran.failure
    (made,) = [event.bearer for event in sim.history() if event.name == "kept"]
    assert made
    assert "Masked: back, bearerToken, hash, loud" in ran.text(2)
    at_home.search()


def test_what_a_notebook_saves_of_failures(at_home, kernel, sim):
    sim.faults(kind="cut_body", method="POST")
    ran = kernel(
        "%load_ext vercel_sql",
        f"%vercel INSERT INTO {T} (name) SELECT 'lost'",
    )
    at_home.show("what the cell failed with", ran.failure)
    at_home.show("the notebook's file", ran.saved)
    at_home.show_folder(at_home.home.parent / "ipython")
    assert ran.failure
    at_home.search()
    assert PLANTED not in ran.saved
