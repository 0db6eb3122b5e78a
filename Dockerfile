# The benchmark in an image: docker build -t cmbench .
# Data, records and reports are in a folder of the host; with --user their owner is the caller:
#   docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/work" cmbench run --datasets emoji
# Where a message says `python -m bench`, write this command up to `cmbench`.
FROM python:3.11-slim
# The CPU build of PyTorch; for GPUs: --build-arg TORCH_INDEX=https://pypi.org/simple, and docker run --gpus all
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
WORKDIR /src
COPY . .
RUN pip install --no-cache-dir --extra-index-url "$TORCH_INDEX" -c constraints.txt . && rm -rf /src/*
WORKDIR /work
# Caches of libraries go where any user of the container may write.
ENV XDG_CACHE_HOME=/tmp/cache MPLCONFIGDIR=/tmp/matplotlib
ENTRYPOINT ["cmbench"]
CMD ["--help"]
