"""monstache beside the projector, if MONSTACHE names a binary. It copies a product as it is, without category names, stock and
what else a search needs, into an index that keeps documents and indexes nothing of them: it has the lighter work."""
import contextlib
import json
import os
import subprocess
import tempfile

from harness.environment import VAR, call, get_json

INDEX = "monstache-products"


@contextlib.contextmanager
def monstache(env, namespaces):
    """Runs with this line in its configuration, over an empty index."""
    with tempfile.TemporaryDirectory(dir=VAR) as folder:
        config = os.path.join(folder, "monstache.toml")
        with open(config, "w") as f:
            f.write(f'mongo-url = {json.dumps(env.servers["READSIDE_MONGO_URI"])}\nelasticsearch-urls = ["{env.es}"]\n{namespaces}\n'
                    'elasticsearch-max-conns = 4\ngzip = false\n[[mapping]]\nnamespace = "readside.products"\n'
                    f'index = "{INDEX}"\n')
        call(f"{env.es}/{INDEX}", "DELETE")
        get_json(f"{env.es}/{INDEX}", "PUT", {"mappings": {"dynamic": False}, "settings": {"number_of_replicas": 0}})
        with open(os.path.join(folder, "log"), "wb") as log:
            process = subprocess.Popen([os.environ["MONSTACHE"], "-f", config], stdout=log, stderr=log)
            process.log_name = log.name
            try:
                yield process
            finally:
                process.terminate()
                process.wait()
                call(f"{env.es}/{INDEX}", "DELETE")
