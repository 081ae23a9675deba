// The scenarios: each opens its clients, measures, and says in the report what was counted and whether all was right.
#pragma once

#include "tests/bench/load/loop.h"
#include "tests/bench/load/options.h"

namespace mqloop::load {

void run_flow(const Options& options, Loop& loop);  // pairs, fanout, fanin, latency
void run_connect(const Options& options, Loop& loop);
void run_idle(const Options& options, Loop& loop);
void run_subs(const Options& options, Loop& loop);
void run_churn(const Options& options, Loop& loop);
void run_retained(const Options& options, Loop& loop);
void run_offline(const Options& options, Loop& loop);
void run_beside(const Options& options, Loop& loop);

}  // namespace mqloop::load
