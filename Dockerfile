# Airflow, this provider and its emulator. From Python's image, not Airflow's: that brings a hundred packages in
# versions of its own, while here constraints.txt decides, as in the tests.
FROM python:3.12-slim

ENV AIRFLOW_HOME=/opt/airflow PYTHONUNBUFFERED=1
RUN useradd --uid 50000 --gid 0 --home-dir $AIRFLOW_HOME --create-home airflow \
 && install --directory --owner airflow --group 0 $AIRFLOW_HOME/logs

WORKDIR /src
COPY pyproject.toml README.md LICENSE constraints.txt ./
COPY airflow_provider_aep airflow_provider_aep
RUN pip install --no-cache-dir -c constraints.txt '.[emulator,cluster]'

WORKDIR $AIRFLOW_HOME
USER 50000
