"""One rule: dask decides where and when, and does an item again whose worker was lost; the items know nothing of it.

Each worker process loads the model once, for its first item. An item that raises has failed; the others go on.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from distributed import Client, LocalCluster, WorkerPlugin, as_completed, get_worker
from distributed.comm import get_address_host_port

from napari_ois.batch.items import Item
from napari_ois.batch.results import DONE, FAILED, THERE, Outcome, Results
from napari_ois.batch.sources import open_plane
from napari_ois.errors import InputError, OISError

if TYPE_CHECKING:
    from napari_ois.segmentation.predictor import Predictor

PATIENCE = 10
"""Seconds to wait for a scheduler where somebody listens."""


def make_predictor(
    model: str, device: str, precision: str, input_size: int | str | None, compiled: bool = False
) -> Predictor:
    """Load a model, in a worker."""
    from napari_ois.segmentation.predictor import Predictor

    return Predictor(model, device=device, precision=precision, input_size=input_size, compiled=compiled)


def do_item(item: Item, results: Results, predictor: Callable[[], Predictor]) -> Outcome:
    """Do one item, unless it is finished; pure of dask.

    Parameters
    ----------
    item : Item
    results : Results
    predictor : callable
        Gives the model; called only where there is something to do.

    Raises
    ------
    OISError
        If it cannot be done.
    """
    start, name = time.perf_counter(), item.plane.name
    status = THERE
    if not results.has(name):
        pixels, channel_axis = open_plane(item.plane)
        if results.publish(name, item.work.do(predictor(), pixels, channel_axis)):
            status = DONE
    return Outcome(name, status, time.perf_counter() - start, os.getpid())


class Model(WorkerPlugin):
    """The one predictor of a worker process, made when it is first needed.

    Parameters
    ----------
    make : callable
        Picklable.
    name : str
        The plugin's; no other batch on the cluster has it.
    """

    def __init__(self, make: Callable[[], Predictor], name: str) -> None:
        self._make = make
        self.name = name

    def setup(self, worker: Any) -> None:
        """Called by dask in each worker, in one that replaces a lost one too."""
        self.lock = threading.Lock()  # a worker may have several threads, a predictor is for one
        self._made: Predictor | None = None

    def predictor(self) -> Predictor:
        """Give the model; call it with the lock held."""
        if self._made is None:
            self._made = self._make()
        return self._made


def run_batch(
    items: Sequence[Item],
    results: Results,
    make: Callable[[], Predictor],
    *,
    scheduler: str | None = None,
    workers: int = 1,
    told: Callable[[Outcome], None] | None = None,
) -> list[Outcome]:
    """Do all items that are not finished.

    Parameters
    ----------
    items : sequence of Item
    results : Results
        In a folder that every worker sees.
    make : callable
        Makes a predictor in a worker; picklable.
    scheduler : str, optional
        Address of a dask scheduler, like ``tcp://host:8786``; by default a cluster of this machine's processes.
    workers : int
        Of the local cluster.
    told : callable, optional
        Given each outcome, as it comes.

    Returns
    -------
    list of Outcome
        In the order of the items.

    Raises
    ------
    InputError
        If there is no scheduler at the address.
    """
    outcomes = {item.plane.name: Outcome(item.plane.name, THERE) for item in items if results.has(item.plane.name)}
    for outcome in outcomes.values():
        if told is not None:
            told(outcome)
    left = [item for item in items if item.plane.name not in outcomes]
    if left:
        run = f"napari-ois-{uuid.uuid4().hex[:8]}"  # others may work on the same cluster, on planes of the same names
        with _client(scheduler, min(workers, len(left))) as client:
            client.register_plugin(Model(make, run))
            try:
                for outcome in _outcomes(client, left, results, run):
                    outcomes[outcome.name] = outcome
                    if told is not None:
                        told(outcome)
            finally:
                if scheduler is not None:  # its workers live on: they let go of the model, of an interrupted run too
                    client.unregister_worker_plugin(run)
    return [outcomes[item.plane.name] for item in items]


def _outcomes(client: Client, items: Sequence[Item], results: Results, run: str) -> Iterator[Outcome]:
    names = {}
    for item in items:
        future = client.submit(_task, item, str(results.folder), run, key=f"{run}-{item.plane.name}", pure=False)
        names[future] = item.plane.name
    for future in as_completed(list(names)):
        name, error = names.pop(future), future.exception()
        if error is None:
            # What a lost worker had finished is found there by the next one; it is of this run all the same.
            yield replace(future.result(), status=DONE)
        else:
            said = str(error) if isinstance(error, OISError) else f"{type(error).__name__}: {error}"
            yield Outcome(name, FAILED, error=" ".join(said.split()))
        future.release()


def _task(item: Item, folder: str, plugin: str) -> Outcome:
    """In a worker."""
    model = get_worker().plugins[plugin]
    with model.lock:
        return do_item(item, Results(folder), model.predictor)


@contextmanager
def _client(scheduler: str | None, workers: int) -> Iterator[Client]:
    if scheduler is None:
        with (
            LocalCluster(
                n_workers=workers, threads_per_worker=1, dashboard_address=":0", silence_logs=logging.CRITICAL
            ) as cluster,
            Client(cluster) as client,
        ):
            yield client
        return
    try:
        _knock(scheduler)
        client = Client(scheduler, timeout=PATIENCE)
    except (OSError, ValueError) as error:
        raise InputError(f"There is no dask scheduler at {scheduler} ({error}); check the address.") from error
    with client:
        yield client


def _knock(address: str) -> None:
    """OSError or ValueError soon where no scheduler listens; dask would try again, or wait without end.

    A scheduler speaks first, so somebody who listens and says nothing is none; over TLS the caller does.
    """
    full = address if "://" in address else f"tcp://{address}"
    if not full.startswith(("tcp://", "tls://")):
        return
    with socket.create_connection(get_address_host_port(full), timeout=PATIENCE) as line:
        if full.startswith("tcp://") and not line.recv(1):
            raise OSError("it hung up")
