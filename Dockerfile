# The receiver in a container: one process tree as uid 65532, nothing written outside /var/lib/art58 and /tmp,
# so the root file system can be read-only:
#   docker run --read-only --tmpfs /tmp -v art58:/var/lib/art58 -v "$PWD/config:/etc/art58:ro" -p 9158:9158 art58-receiver
# config.yaml must then say `listen: 0.0.0.0:9158` and `data_dir: /var/lib/art58`.
FROM python:3.12-slim-bookworm AS build
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY receiver/ receiver/
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels . \
 && python -m venv /opt/art58 \
 && /opt/art58/bin/pip install --no-cache-dir --constraint constraints.txt /wheels/*.whl

FROM python:3.12-slim-bookworm
COPY --from=build /opt/art58 /opt/art58
# A new volume takes the owner of the folder it is mounted on.
RUN install --directory --owner=65532 --group=65532 /var/lib/art58 && install --directory /etc/art58
ENV PATH=/opt/art58/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 65532:65532
WORKDIR /var/lib/art58
EXPOSE 9158
HEALTHCHECK --start-period=30s --timeout=5s \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9158/-/healthy', timeout=4)"]
ENTRYPOINT ["art58"]
CMD ["serve", "--config", "/etc/art58/config.yaml"]
