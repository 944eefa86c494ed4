.PHONY: lock venv
VENV := .venv
LOCK := requirements.lock
# What `argosy run` needs and no more, at the versions of the full lock: for the container image.
RUNTIME_LOCK := requirements-runtime.lock
COMPILE = $(VENV)/bin/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header

venv: $(VENV)/.ready

$(VENV)/.ready: $(LOCK) pyproject.toml
	python3 -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --require-hashes -r $(LOCK)
	$(VENV)/bin/pip install --quiet --no-deps --no-build-isolation -e .
	touch $@

lock:
	$(COMPILE) --all-extras --group dev pyproject.toml -o $(LOCK)
	$(COMPILE) --constraints $(LOCK) pyproject.toml -o $(RUNTIME_LOCK)
