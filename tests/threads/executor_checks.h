// tests/threads/executor_checks.h: what every executor of ports/threads has to keep.
#ifndef HEED_TESTS_THREADS_EXECUTOR_CHECKS_H_
#define HEED_TESTS_THREADS_EXECUTOR_CHECKS_H_

#include "heed/executor.h"

namespace heed::test {

// Every task runs once, with a worker number below num_workers that no other task has at the same
// time, and what it wrote is seen after the call; many calls, of none to many tasks.
void CheckContract(const Executor& executor);

// Calls from several threads take turns: each keeps the contract.
void CheckTurns(const Executor& executor);

// A task may call the executor again, also through another executor and while another thread does
// this with both the other way round: the inner calls keep the contract and end.
void CheckNesting(const Executor& executor, const Executor& other);

// Layers of many shapes and masks have the bits of the serial call.
void CheckBits(Executor executor);

}  // namespace heed::test

#endif  // HEED_TESTS_THREADS_EXECUTOR_CHECKS_H_
