# The image: one program, run as a user that is not root.
#
#   docker build .                     compiles in BUILDER, runs on BASE
#   tests/image PROGRAM ARCHIVE        from a program that is already built, on nothing, pulling nothing
ARG BUILDER=rust:1.95-bookworm
ARG BASE=debian:bookworm-slim
ARG FILES=compiled

FROM ${BUILDER} AS compiled
WORKDIR /src
COPY . .
ARG PROFILE=dist
RUN cargo build --locked --profile ${PROFILE} --bin holdfast \
    && install -D target/*/holdfast /files/usr/local/bin/holdfast \
    && install -D /etc/ssl/certs/ca-certificates.crt /files/etc/ssl/certs/ca-certificates.crt

FROM scratch AS prebuilt
COPY files /files

FROM ${FILES} AS files

FROM ${BASE}
COPY --from=files /files /
USER 65532:65532
EXPOSE 9000 9001 9002
ENTRYPOINT ["/usr/local/bin/holdfast"]
CMD ["serve"]
