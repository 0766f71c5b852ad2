# A stand-in for the official PostgreSQL image, where no registry of images is at hand: the same variables and folder.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm
FROM ${PYTHON_IMAGE}
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends postgresql-15 >/dev/null && rm -rf /var/lib/apt/lists/*
COPY postgres.sh /usr/local/bin/serve-postgres
ENV PGDATA=/var/lib/postgresql/data/pgdata PATH=/usr/lib/postgresql/15/bin:$PATH
RUN chmod 755 /usr/local/bin/serve-postgres && mkdir -p /var/lib/postgresql/data && chown postgres /var/lib/postgresql/data
USER postgres
VOLUME /var/lib/postgresql/data
STOPSIGNAL SIGINT
CMD ["serve-postgres"]
