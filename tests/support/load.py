"""Agents that submit without pause, each with its own journal, until SIGTERM.

`python -m tests.support.load HOME FOLDER KEY…`: one thread for each key file name, its journal under FOLDER.
After SIGTERM each finishes what it has signed. A key may be named twice: two agents of one organisation.
"""

from __future__ import annotations

import itertools
import os
import random
import secrets
import signal
import sys
import threading
import time
import traceback
from pathlib import Path

from agent.client import GatewayClient
from agent.errors import GatewayRefused, GatewayUnreachable
from agent.journal import Draft, Journal
from agent.profile import Profile, load_profile
from agent.submit import Submitter
from protocol.entry import Body, EvidenceClass, Header
from protocol.identifiers import case_commitment, case_ref

SIZES = (1, 1, 2, 5, 12)
PAUSE = 0.3
PATIENCE = 900.0
LONGEST_WAIT = 0.3


def draft(profile: Profile, name: str, case_id: bytes) -> Draft:
    salt, content = secrets.token_bytes(32), secrets.token_bytes(64)
    body = Body(
        content_sha256=content[:32],
        content_sm3=content[32:],
        content_size=7,
        media_type="text/plain",
        salt=salt,
        case_ref=case_ref(salt, case_id),
    )
    header = Header(EvidenceClass.CONTRACT, profile.organisation, case_commitment(case_id))
    return Draft(
        path=name,
        content_sha256=body.content_sha256,
        content_sm3=body.content_sm3,
        size=body.content_size,
        media_type=body.media_type,
        case_id=case_id,
        evidence_class=int(EvidenceClass.CONTRACT),
        organisation=profile.organisation,
        repetition=0,
        header=header.pack(),
        body=body.encode(),
    )


def agent(profile: Profile, path: Path, stop: threading.Event) -> None:
    rng = random.Random()  # noqa: S311 - load, no secret
    with Journal(path) as journal, GatewayClient(profile.gateways[0]) as gateway:
        case_id = journal.case("load")
        numbers = itertools.count(sum(journal.counts().values()))
        while True:
            try:
                Submitter(
                    journal, [gateway], profile.logs, profile.act_key, profile.organisation,
                    clock=time.time, sleep=lambda seconds: time.sleep(min(seconds, LONGEST_WAIT)),
                    patience=PATIENCE,
                ).run()  # fmt: skip
            except (GatewayUnreachable, GatewayRefused) as error:
                # Down while it is asked for its logs: an agent is started again by whoever called it.
                if isinstance(error, GatewayRefused) and not error.temporary:
                    raise
                time.sleep(LONGEST_WAIT)
                continue
            if stop.wait(PAUSE):
                return
            journal.add(
                draft(profile, f"{path.stem}-{next(numbers)}", case_id) for _ in range(rng.choice(SIZES))
            )


def guarded(profile: Profile, path: Path, stop: threading.Event) -> None:
    try:
        agent(profile, path, stop)
    except BaseException:
        # An agent that gives up is a finding; the others must not hide it.
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)


def main() -> None:
    home, folder, *keys = sys.argv[1:]
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    threads = [
        threading.Thread(
            target=guarded, args=(load_profile(Path(home), key=key), Path(folder) / f"{at}-{key}.db", stop)
        )
        for at, key in enumerate(keys)
    ]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        for thread in threads:
            thread.join(0.2)


if __name__ == "__main__":
    main()
