/* daemon_internal.h - shared by daemon.c, daemon_signals.c and daemon_health.c. */
#pragma once

void daemon_signals_done(void);
void daemon_reload_running(void); /* reads the running program's configuration again and logs what came of it */
void daemon_health_start(const char *program_name); /* kept; registers the metrics of the process */
void daemon_health_done(void);
