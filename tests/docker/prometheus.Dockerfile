# Debian's own Prometheus, in the place of the image that docker/docker-compose.yml names: the
# program of this machine, which lies beside this file, else that of the package.
ARG BASE=debian:12-slim
FROM ${BASE}
COPY . /usr/local/bin/
RUN prometheus --version >/dev/null 2>&1 \
    || { apt-get update -q \
        && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends prometheus \
        && rm -rf /var/lib/apt/lists/*; } \
    && install -d -o nobody -g nogroup /prometheus
USER nobody
VOLUME /prometheus
EXPOSE 9090
ENTRYPOINT ["prometheus"]
