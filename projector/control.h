/* control.h - negative controls: a rule of the projector switched off, so that the fault suite can show that it
 * notices (tests/faults/controls). cmake -DREADSIDE_CONTROL=version|checkpoint|coalescing; no rule is off in any other
 * build, and the compiler removes the tests. Thread: constants. */
#pragma once

enum projector_control {
#ifdef READSIDE_CONTROL_VERSION
    CONTROL_VERSION = 1, /* writes carry no external version: the last one to arrive wins */
#else
    CONTROL_VERSION = 0,
#endif
#ifdef READSIDE_CONTROL_CHECKPOINT
    CONTROL_CHECKPOINT = 1, /* a position is stored when its segment arrives, not when it is acked */
#else
    CONTROL_CHECKPOINT = 0,
#endif
#ifdef READSIDE_CONTROL_COALESCING
    CONTROL_COALESCING = 1, /* a mark of a product in flight joins the flight instead of making it dirty again */
#else
    CONTROL_COALESCING = 0,
#endif
};

/* Name of the rule that is off, NULL in every normal build. */
#define CONTROL_NAME                                                                                                   \
    (CONTROL_VERSION ? "version" : CONTROL_CHECKPOINT ? "checkpoint" : CONTROL_COALESCING ? "coalescing" : NULL)
