// threads/pthreadpool_executor.h: an executor on a pthreadpool that the application has.
#ifndef HEED_PORTS_THREADS_PTHREADPOOL_EXECUTOR_H_
#define HEED_PORTS_THREADS_PTHREADPOOL_EXECUTOR_H_

#include <heed/executor.h>

struct pthreadpool;

namespace heed {

// One worker for each thread of the pool (null: the calling thread alone). Valid as long as the
// pool. As with any use of a pthreadpool, calls from several threads take turns. A call from inside
// a task of heed's runs its tasks in order on the thread that makes it. But a call from inside a
// task that others gave to the same pool never returns: the library cannot tell that it is one.
Executor PthreadpoolExecutor(pthreadpool* pool);

}  // namespace heed

#endif  // HEED_PORTS_THREADS_PTHREADPOOL_EXECUTOR_H_
