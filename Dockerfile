# The image that manifests/static runs, and nothing in it but the program:
#
#   docker build -t leadline:0.1.0 .
#
# It runs as the manifests say: user 65532, a root that is only read, /data to write to, and their args behind the program's name.
FROM rust:1.95.0-slim-bookworm AS build
# The compiler of the image, without the formatter and the lints that rust-toolchain.toml asks for beside it.
ENV RUSTUP_TOOLCHAIN=1.95.0
# cc is there; jemalloc's build needs make.
RUN apt-get update && apt-get install -y --no-install-recommends make && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN cargo build --locked --release -p leadline --bin leadline && mkdir /data

# glibc of the same Debian release, root certificates, and the user 65532; neither a shell nor a package manager.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /src/target/release/leadline /usr/local/bin/leadline
COPY --from=build --chown=65532:65532 /data /data
COPY LICENSE /usr/share/doc/leadline/LICENSE
USER 65532:65532
EXPOSE 6443 6000
ENTRYPOINT ["/usr/local/bin/leadline"]
CMD ["--help"]
