# Two stages: Rust and a C compiler to build, and a slim image that holds the binary, its libraries and a user of its own.
FROM rust:1.95-slim-bookworm AS build
RUN apt-get update -q \
 && apt-get install -y -q --no-install-recommends build-essential pkg-config libssl-dev zlib1g-dev \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /baton
COPY Cargo.toml Cargo.lock ./
COPY benches benches
COPY examples examples
COPY schemas schemas
COPY topics topics
COPY src src
RUN cargo build --release --locked --bin baton

FROM debian:bookworm-slim
RUN apt-get update -q \
 && apt-get install -y -q --no-install-recommends ca-certificates curl libssl3 zlib1g \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --uid 10001 --create-home baton
COPY --from=build /baton/target/release/baton /usr/local/bin/baton
USER baton
WORKDIR /home/baton
EXPOSE 8080
ENTRYPOINT ["baton"]
CMD ["run"]
