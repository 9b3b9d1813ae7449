# Airflow and this provider. The base is Python's image, not Airflow's: Airflow's image has its own
# versions of a hundred packages, while constraints.txt has the tested ones.
FROM python:3.12-slim

ENV AIRFLOW_HOME=/opt/airflow PYTHONUNBUFFERED=1
RUN useradd --uid 50000 --gid 0 --home-dir $AIRFLOW_HOME --create-home airflow \
 && install --directory --owner airflow --group 0 $AIRFLOW_HOME/logs

WORKDIR /src
COPY pyproject.toml hatch_build.py README.md LICENSE constraints.txt ./
COPY airflow_provider_aep airflow_provider_aep
COPY dags dags
COPY data_prep data_prep
RUN pip install --no-cache-dir -c constraints.txt ./data_prep '.[cluster]'

WORKDIR $AIRFLOW_HOME
USER 50000
