"""Which application answers which path."""

from collections.abc import Iterable

from gradstudy.scripts.web.api.messages import PREFIX
from gradstudy.scripts.web.headers import Application, Environ, StartResponse


def routed(api: Application, others: Application) -> Application:
    """The JSON interface below its prefix, and another application for everything else."""

    def answer(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        is_api = path == PREFIX or path.startswith(f"{PREFIX}/")
        return (api if is_api else others)(environ, start_response)

    return answer
