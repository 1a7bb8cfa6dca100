"""Reports by Airflow 3: copy this to the folder of your DAGs.

Before: vercel-sql installed on the workers, this repository in /opt/vercel-sql, and a connection
``vercel`` whose password is the token. Exit code 3, rows where there should be none, fails the task
as any other error does; nothing is retried here, since vercel-sql retries by itself what may be.
"""

from datetime import UTC, datetime, timedelta

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG

COMMON = {
    # Templates are rendered when the task runs: the token is in no file and no process list.
    "env": {"VERCEL_TOKEN": "{{ conn.vercel.password }}"},
    "append_env": True,
    "cwd": "/opt/vercel-sql/queries",
    "execution_timeout": timedelta(minutes=30),
    "retries": 0,
}

with DAG(
    dag_id="vercel_tokens",
    description="Reports about Vercel tokens",
    schedule="30 6 * * *",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    tags=["security"],
):
    # A folder for each day; a run that is repeated replaces that day's files, whole or not at all.
    BashOperator(
        task_id="write_reports",
        bash_command=(
            "vercel-sql run inventory.sql stale.sql never_used.sql never_expiring.sql "
            "broad_scopes.sql duplicates.sql teams_over_time.sql "
            "-o parquet --out /var/lib/vercel-sql/{{ ds }}"
        ),
        **COMMON,
    )
    for report, options in {
        "leaked": "--param only_working=true",
        "expiring": "--param days=14",
    }.items():
        BashOperator(
            task_id=f"fail_on_{report}",
            bash_command=f"vercel-sql run {report}.sql {options} --fail-if-rows",
            **COMMON,
        )
