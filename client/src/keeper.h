/*
 * keeper.h: what the client library and drover-local, the keeper of a private pool, say to each
 * other.
 *
 *   caller ──spawn──> drover-local ──┬── drover-broker    ipc sockets in a fresh directory
 *      │                   ^         └── drover-worker    (or the caller's program again)
 *      └───── link ────────┘
 *
 * The link is a sequenced-packet socket pair. The keeper sends struct keeper_report; the caller
 * sends nothing. The pool ends when the link does (closed, shut down, or the caller became
 * another program by exec), or when the caller's process descriptor says that it has ended:
 * whichever is first. Why both: a copy of the link in a child that the caller has forked would
 * hold it open past the caller's death, and a process descriptor knows nothing of exec and
 * close. Why not PR_SET_PDEATHSIG: it tells the end of the *thread* that started the keeper,
 * and a program that gains rights on exec loses it without a word.
 *
 * Before it ends, the keeper has ended all processes of the pool and removed the directory; it
 * then shuts the link down, so that the caller, who waits for that, sees the end even if copies
 * of the link are held elsewhere.
 */
#ifndef DRV_CLIENT_KEEPER_H
#define DRV_CLIENT_KEEPER_H

#include <stdint.h>

#define KEEPER_PROGRAM "drover-local"
#define KEEPER_TEXT_MAX 512

/* Its arguments. Those of the worker follow. */
enum keeper_argument {
    KEEPER_LINK = 1,  /* number of the descriptor */
    KEEPER_CALLER,    /* the same, of the caller's process descriptor; -1: there is none */
    KEEPER_OWN,       /* "own": the worker is the caller's program; "worker": drover-worker */
    KEEPER_LOG_LEVEL, /* of the broker */
    KEEPER_TRANSPORT, /* "ipc", "tcp" (loopback) */
    KEEPER_DATA,      /* directory of the broker's journal; "": it keeps all in memory */
    KEEPER_BROKER,    /* path of the program */
    KEEPER_WORKER,    /* the same */
    KEEPER_OPTIONS,   /* of the worker, from here on */
};

enum keeper_report_kind {
    KEEPER_STAGE = 1, /* text: what it waits for now */
    KEEPER_READY,     /* text: the endpoint for clients */
    KEEPER_FAILED,    /* status, text: the pool is going, or never came */
};

struct keeper_report {
    uint32_t version;           /* DROVER_VERSION_NUMBER of the keeper */
    uint32_t kind;              /* enum keeper_report_kind */
    uint32_t status;            /* drover_status */
    int32_t pid;                /* of the keeper */
    char text[KEEPER_TEXT_MAX]; /* NUL-terminated */
};

#endif
