// threads/pthreadpool_executor.h: an executor on a pthreadpool that the application has.
#ifndef HEED_PORTS_THREADS_PTHREADPOOL_EXECUTOR_H_
#define HEED_PORTS_THREADS_PTHREADPOOL_EXECUTOR_H_

#include <heed/executor.h>

struct pthreadpool;

namespace heed {

// One worker for each thread of the pool (null: the calling thread alone). Valid as long as the
// pool. As with any use of a pthreadpool, calls from several threads wait for each other, and a
// call from inside one of the pool's own tasks never returns.
Executor PthreadpoolExecutor(pthreadpool* pool);

}  // namespace heed

#endif  // HEED_PORTS_THREADS_PTHREADPOOL_EXECUTOR_H_
