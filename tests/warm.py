"""A process that has imported what notebooks import, and forks: what it runs starts in a tenth of a second, not in ten.

`python warm.py serve SOCKET` is that process; it ends when nobody holds a lock of SOCKET.lock. `python -S warm.py
TARGET ARGUMENT…` has it run a script, or the `main` of a module, in the folder and with the environment, output and
errors of the one that asks, and ends as that does. CHROMAE_WARM says which socket.
"""

import contextlib
import fcntl
import json
import os
import signal
import socket
import sys

MODULES = (
    "beartype.door", "imageio.v3", "imageio_ffmpeg", "ipykernel.kernelapp", "jaxtyping", "joblib", "matplotlib.pyplot",
    "nbconvert.nbconvertapp", "safetensors.torch", "scipy.optimize", "scipy.spatial", "scipy.stats", "sklearn.cluster",
    "sklearn.discriminant_analysis", "sklearn.linear_model", "sklearn.metrics", "sklearn.neighbors",
    "sklearn.preprocessing", "timm", "torch", "torchvision.models", "tqdm.auto",
)  # fmt: skip


def serve(path: str) -> None:
    import importlib
    import select

    del sys.path[0]  # the folder of this file
    sys.modules["rfc3987_syntax"] = None  # as in chromae.__main__
    os.environ["MPLBACKEND"] = "module://matplotlib_inline.backend_inline"  # as kernels have it
    for name in MODULES:
        with contextlib.suppress(Exception):  # what is missing or broken, whoever needs it will say
            importlib.import_module(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that end
    with socket.socket(socket.AF_UNIX) as listener, contextlib.suppress(KeyboardInterrupt):
        listener.bind(f"{path}.new")
        listener.listen()
        os.rename(f"{path}.new", path)  # whoever sees it can connect
        try:
            while not unwanted(f"{path}.lock"):
                if select.select([listener], [], [], 1)[0]:
                    connection, _ = listener.accept()
                    if os.fork() == 0:
                        listener.close()
                        run(connection)
                    connection.close()
        finally:
            for left in (path, f"{path}.lock"):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(left)


def unwanted(lock: str) -> bool:
    """Whether nobody holds the lock; then this process does, until it ends. Others lose it as they end, however."""
    file = os.open(lock, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        return False
    return True


def run(connection: socket.socket) -> None:
    """In a fork: be the process that was asked for, and never come back."""
    import atexit
    import importlib
    import runpy
    import tempfile
    import threading
    import traceback

    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    status = 1
    try:
        size, files, *_ = socket.recv_fds(connection, 4, 2)
        with connection.makefile("rb") as sent:
            asked = json.loads(sent.read(int.from_bytes(size, "big")))
        threading.Thread(target=lambda: connection.recv(1) or os._exit(1), daemon=True).start()  # whoever asked is gone
        for place, file in enumerate(files, 1):
            os.dup2(file, place)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.environ.clear()
        os.environ.update(asked["environment"])
        os.chdir(asked["folder"])
        sys.path[:0] = [it for it in os.environ.get("PYTHONPATH", "").split(os.pathsep) if it not in ["", *sys.path]]
        tempfile.tempdir = None  # that of the environment
        target, *sys.argv[1:] = asked["arguments"]
        if target.endswith(".py"):
            sys.argv[0] = target
            runpy.run_path(target, run_name="__main__")
        else:
            importlib.import_module(target).main()
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    try:
        threading._shutdown()  # waits for threads, as an interpreter does that ends
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        connection.sendall(bytes([status % 256]))
    finally:
        os._exit(status % 256)


def ask(*arguments: str) -> int:
    """Have the warm process run this; its exit status."""
    asked = {"arguments": arguments, "folder": os.getcwd(), "environment": dict(os.environ)}
    text = json.dumps(asked).encode()
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(os.environ["CHROMAE_WARM"])
        except OSError as error:
            sys.exit(f"the process to fork from is gone: {error}")
        socket.send_fds(connection, [len(text).to_bytes(4, "big")], [1, 2])
        connection.sendall(text)
        return (connection.recv(1) or b"\x89")[0]  # 137: killed


if __name__ == "__main__":
    sys.exit(serve(sys.argv[2]) if sys.argv[1] == "serve" else ask(*sys.argv[1:]))
