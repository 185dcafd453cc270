# syntax=docker/dockerfile:1
# Kindred in two stages: everything that builds stays in the first.
FROM debian:12 AS build
WORKDIR /src
COPY . .
RUN ./dev setup build && ./dev build release && \
    cmake --install build/release --prefix /opt/kindred --strip

FROM debian:12-slim
RUN apt-get update && \
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        ca-certificates libavro23 libcurl4 libicu72 libjansson4 libopenblas0-pthread librdkafka1 \
        libsodium23 libstemmer0d libuv1 libxxhash0 libyaml-0-2 zlib1g && \
    rm -rf /var/lib/apt/lists/* && \
    useradd --system --uid 10001 --user-group --home-dir /var/lib/kindred --create-home kindred
COPY --from=build /opt/kindred /usr/local
COPY kindred.yaml /etc/kindred/kindred.yaml
ENV KINDRED_CONFIG=/etc/kindred/kindred.yaml
USER kindred
WORKDIR /var/lib/kindred
STOPSIGNAL SIGTERM
# Healthy: the configuration is valid, the broker answers, and the topics fit each other.
HEALTHCHECK --interval=30s --timeout=20s --start-period=30s --retries=3 \
    CMD ["kindred", "topics", "check"]
ENTRYPOINT ["kindred"]
CMD ["run"]
