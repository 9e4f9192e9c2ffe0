"""
Servers in containers, where an engine answers on this machine.

The images hold what the embedded servers are, at the same versions, so they are built here and
nothing but their base is ever pulled. Importing this takes a third of a second: do it late.
"""

import atexit
import functools
import importlib.metadata
from pathlib import Path, PurePosixPath

import pytest
from docker.errors import DockerException  # type: ignore[import-untyped]
from testcontainers.core.container import DockerContainer
from testcontainers.core.image import DockerImage

IMAGES = Path(__file__).parent / "images"


@functools.cache
def image_of(package: str, docker_host: str) -> str:
    """
    The tag of an image with a PyPI package, at the version that is installed here.

    Built once per process; the engine's cache of layers makes any later build instant.
    """
    version = importlib.metadata.version(package)
    tag = f"slipstream-test-{package}:{version}"
    image = DockerImage(
        IMAGES,
        client_of(docker_host),
        tag,
        clean_up=False,  # later builds are made of it
        forcerm=True,  # leave nothing of a build that fails
        buildargs={"REQUIREMENT": f"{package}=={version}"},
    )
    try:
        with image:
            return tag
    except DockerException as error:  # each test would meet it anew, after minutes perhaps
        pytest.exit(f"{tag} can't be built: {error}; TEST_SERVERS=embedded does without", 1)


def client_of(docker_host: str) -> dict[str, dict[str, str]]:
    """What binds testcontainers to this engine, whatever Docker's own configuration says."""
    return {"environment": {"DOCKER_HOST": docker_host}}


class Container:
    """A server in a container, on the loopback at the port that it has inside; removed at exit."""

    address = "0.0.0.0"
    folder = PurePosixPath("/data")

    def __init__(self, package: str, port: int, docker_host: str) -> None:
        self._container = DockerContainer(image_of(package, docker_host), client_of(docker_host))
        self._container.ports[f"{port}/tcp"] = ("127.0.0.1", port)  # type: ignore[assignment]
        self._is_made = False

    def write(self, name: str, text: str) -> None:
        """Put a file into its folder, before the first start."""
        self._container.with_copy_into_container(text.encode(), str(self.folder / name))

    def start(self, *command: str) -> None:
        """Start the container; later the same one again, with the data that it holds."""
        if self._is_made:
            self._container.get_wrapped_container().start()
        else:
            atexit.register(self._container.stop)
            self._is_made = True
            self._container.with_command(list(command)).start()

    def kill(self) -> None:
        """SIGKILL, as a crash; the container stays with its data until exit."""
        if self._is_made:
            container = self._container.get_wrapped_container()
            container.reload()
            if container.status == "running":
                container.kill()
                container.wait()
