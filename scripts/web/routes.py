"""Which application answers which path."""

from collections.abc import Iterable, Mapping

from gradstudy.scripts.web.headers import Application, Environ, StartResponse


def routed(applications: Mapping[str, Application], others: Application) -> Application:
    """Applications by the path that they answer with all that lies below it, and another one for everything else.

    The first that fits answers; ``/`` fits itself alone.
    """

    def answer(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        for root, application in applications.items():
            if path == root or (root != "/" and path.startswith(f"{root}/")):
                return application(environ, start_response)
        return others(environ, start_response)

    return answer
