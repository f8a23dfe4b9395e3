# The base is named by its line of releases, so that a rebuild takes its security fixes; what we put on it is pinned by hash.
FROM python:3.13-slim-bookworm AS base
ENV PATH=/opt/otp-service/bin:$PATH

FROM base AS builder
# Off by default: the wheel runs on every x86-64 and arm64 CPU. `--build-arg ARGON2_MARCH=x86-64-v3` compiles Argon2 for
# AVX2 instead: 1.7 to 2 times the hashes per second, and a crash ("illegal instruction") on a CPU without it. The source is
# hash-checked like the wheel; the tools that compile it are not.
ARG ARGON2_MARCH=""
# Off by default: `--build-arg SMPP=1` adds what providers of type `smpp` need (one package, 6 MB).
ARG SMPP=""
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /build
RUN python -m venv /opt/otp-service
COPY requirements.lock requirements-smpp.lock ./
RUN set -e; \
    if [ -n "$ARGON2_MARCH" ]; then \
        apt-get update; \
        apt-get install --yes --no-install-recommends gcc libc6-dev; \
        export CFLAGS="-O3 -march=$ARGON2_MARCH" PIP_NO_BINARY=argon2-cffi-bindings; \
    fi; \
    pip install --require-hashes -r "requirements${SMPP:+-smpp}.lock"
COPY pyproject.toml README.md LICENSE ./
COPY otp_service ./otp_service
# What only built the image stays behind: the next stage copies what is left.
RUN pip install --no-deps --no-index --no-build-isolation . && pip uninstall --yes flit_core pip

FROM base
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
COPY --from=builder /opt/otp-service /opt/otp-service
# A number, not a name: Kubernetes can only hold runAsNonRoot against a number.
USER 10001:10001
EXPOSE 8000
ENTRYPOINT ["otp-service"]
CMD ["serve", "--config", "/etc/otp-service/config.toml", "--host", "0.0.0.0", "--port", "8000"]
