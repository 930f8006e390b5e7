# The image that trains: PaddlePaddle, PaddleOCR's training library and ocrfleet.
# How to build it, and why it is as it is: docs/tasks/run/build-the-image.md

# Anything with Python 3.11 or 3.12 and its venv module.
ARG BASE=python:3.11-slim-bookworm

# What training needs of pyproject.toml, alone: nothing else that changes there fetches a gigabyte of packages again.
FROM ${BASE} AS wanted
ARG PYTHON=python3
COPY pyproject.toml /
RUN "$PYTHON" -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)) and \
"BASE must have Python 3.11 or 3.12; its %s is %s" % (sys.executable, sys.version.split()[0]))' && \
    "$PYTHON" -c 'import tomllib; project = tomllib.load(open("/pyproject.toml", "rb"))["project"]; \
print(*project["dependencies"], *project["optional-dependencies"]["training"], "paddlepaddle", "paddlepaddle-gpu", \
sep="\n")' > /wanted.txt

FROM ${BASE} AS packages
ARG PYTHON=python3
# For NVIDIA's GPUs: the CUDA of a list that `make lock-gpu` has written, such as 12.6. Its packages bring CUDA, cuDNN and
# NCCL with them. Empty: the base's own PaddlePaddle trains, or else the lock's, which is for CPUs.
ARG CUDA=
# The package index that has them, beside pip's own.
ARG PADDLE_INDEX=
ENV PATH=/opt/ocrfleet/bin:$PATH
# Libraries that a slim base lacks: Paddle's wheel needs the first, and NCCL the others on InfiniBand and RoCE, with
# their drivers. Without those it uses TCP, and says so in its own log only.
RUN missing=; \
    for needed in libgomp.so.1:libgomp1 \
        ${CUDA:+libibverbs.so.1:libibverbs1 libmlx5.so.1:ibverbs-providers librdmacm.so.1:librdmacm1}; do \
        ldconfig -p | grep -q "${needed%:*}" || missing="$missing ${needed#*:}"; \
    done; \
    [ -z "$missing" ] || \
    { apt-get update && apt-get install -y --no-install-recommends $missing && rm -rf /var/lib/apt/lists/*; }
COPY --from=wanted /wanted.txt /tmp/requirements/
COPY requirements/ /tmp/requirements/
# A build behind a proxy or a certificate authority of its own gives these two as secrets, which are never kept.
# What the lock has for development only is gone before the layer is made, and so are the libraries of the OpenCV that
# the overlay covers.
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf --mount=type=secret,id=ca.crt \
    set -eu; cd /tmp/requirements; \
    [ ! -e /run/secrets/ca.crt ] || export PIP_CERT=/run/secrets/ca.crt; \
    export PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore; \
    own=; \
    if "$PYTHON" -c 'import importlib.util as i, sys; sys.exit(not i.find_spec("paddle"))'; then \
        own=--system-site-packages; \
    fi; \
    if [ -n "$own$CUDA" ]; then sed -i '/^paddlepaddle==/,/[^\\]$/d' lock.txt; fi; \
    sed -i '/^visualdl==/,/[^\\]$/d' overlay.txt; \
    "$PYTHON" -m venv $own /opt/ocrfleet; \
    pip install --no-deps --require-hashes -r lock.txt; \
    if [ -n "$CUDA" ]; then \
        pip install --no-deps --require-hashes ${PADDLE_INDEX:+--extra-index-url "$PADDLE_INDEX"} \
            -r "gpu/cu$(echo "$CUDA" | tr -d .).txt"; \
    fi; \
    python prune.py wanted.txt; \
    pip install --no-deps --require-hashes -r overlay.txt; \
    rm -r /opt/ocrfleet/lib/python3.*/site-packages/opencv_contrib_python.libs; \
    python -c 'import importlib.util as i, sys; sys.exit(not i.find_spec("paddle") and "PaddlePaddle is not there")'; \
    rm -r /tmp/requirements

# The reader's compiled operators. The compiler, the base's own or Debian's, stays in this stage.
FROM ${BASE} AS native
RUN command -v cc > /dev/null || { apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev; }
COPY native /native
RUN /native/build /liboperators.so

FROM packages AS code
COPY pyproject.toml README.md /src/
COPY jobs /src/jobs
COPY trainer /src/trainer
# Without the network, so that a change of the code is an image in seconds.
RUN pip install --disable-pip-version-check --no-index --no-deps --no-build-isolation --prefix /out /src
COPY --from=native /liboperators.so /tmp/
RUN cp /tmp/liboperators.so /out/lib/python3.*/site-packages/trainer/ppocr/operators/
# What the labels below say must be what is inside.
ARG VERSION=
ARG CONTRACT=
ARG DEVICE=cpu
RUN cd /out/lib/python3.*/site-packages && PYTHONPATH=$PWD python -c 'from trainer import contract; import sys; \
given, inside = sys.argv[1:], [contract.VERSION, str(contract.CONTRACT)]; \
sys.exit(given != inside and "VERSION and CONTRACT are %s, and the code has %s: build with `make image`, or give both" \
% (given, inside))' "$VERSION" "$CONTRACT" && \
    PYTHONPATH=$PWD python -c 'from trainer.system import device; import sys; \
paddle = device.paddle(); inside = "gpu" if paddle and paddle.cuda else "cpu"; \
sys.exit(sys.argv[1] != inside and "DEVICE is %s, and the PaddlePaddle inside is for %s: build with `make image` or \
`make image-gpu`" % (sys.argv[1], inside))' "$DEVICE"

FROM packages
# 65532 by number, since Kubernetes cannot tell whether a name is root. /work and /tmp are all that is ever written:
# a read-only root needs a volume on each. So Python must import from neither: not from the working folder of the pods,
# nor from packages of the user, which are below HOME.
RUN echo 'ocrfleet:x:65532:65532:ocrfleet:/tmp:/usr/sbin/nologin' >> /etc/passwd && \
    echo 'ocrfleet:x:65532:' >> /etc/group && \
    install -d -m 2775 -o 65532 -g 0 /work
COPY --from=code /out/ /opt/ocrfleet/
ENV HOME=/tmp OCRFLEET_WORKDIR=/work
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONNOUSERSITE=1 PYTHONSAFEPATH=1 PYTHONUNBUFFERED=1
WORKDIR /work
USER 65532:65532
ENTRYPOINT ["ocrfleet"]
CMD ["--help"]
ARG VERSION
ARG CONTRACT
ARG DEVICE=cpu
LABEL org.opencontainers.image.title="ocrfleet" \
      org.opencontainers.image.version="$VERSION" \
      io.ocrfleet.contract="$CONTRACT" \
      io.ocrfleet.device="$DEVICE" \
      org.opencontainers.image.description="Train PaddleOCR text detectors and recognisers" \
      org.opencontainers.image.licenses="Apache-2.0"
