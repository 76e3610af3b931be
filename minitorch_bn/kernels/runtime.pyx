"""What every kernel driver shares: the instruction-set level, the number of threads, and a caching allocator."""
import os

from cython.parallel cimport prange

cdef extern from "mtb.h" nogil:
    const mtb_level* mtb_best_level()
    const mtb_level* mtb_find_level(const char* name)
    const mtb_level* mtb_nth_level(int i)

cdef extern from "shares.h" nogil:
    ctypedef struct mtb_shares:
        pass
    void mtb_share_out(mtb_shares* shares, i64 tasks, int threads)
    i64 mtb_next_task(mtb_shares* shares, int thread)

cdef extern from *:
    """
    #include <pthread.h>
    #include <sys/mman.h>
    #define MTB_MOST_THREADS 1024
    #ifdef _OPENMP
    #define MTB_OPENMP 1
    #else
    #define MTB_OPENMP 0
    #endif
    #ifndef MTB_BUILD_FLAGS
    #define MTB_BUILD_FLAGS ""
    #endif
    /* libgomp's team does not survive a fork: a child that used it would wait for ever, so the child runs serially. */
    static int mtb_forked = 0;
    static void mtb_in_child(void) { mtb_forked = 1; }
    static int mtb_watch_fork(void) { return pthread_atfork(NULL, NULL, mtb_in_child); }
    /* Where libgomp cannot start a thread it ends the process. So before a thread uses a team for the first time, as
     * many threads as the team needs are started and ended; where there is no room for them, there is no team. */
    static pthread_mutex_t mtb_gate = PTHREAD_MUTEX_INITIALIZER;
    static void *mtb_pass(void *p) { pthread_mutex_lock(&mtb_gate); pthread_mutex_unlock(&mtb_gate); return p; }
    static int mtb_try_team(int n) {
        pthread_t others[MTB_MOST_THREADS];
        int i, started = 0;
        pthread_mutex_lock(&mtb_gate);
        while (started < n - 1 && pthread_create(&others[started], NULL, mtb_pass, NULL) == 0) started++;
        pthread_mutex_unlock(&mtb_gate);
        for (i = 0; i < started; i++) pthread_join(others[i], NULL);
        return started == n - 1;
    }
    static int mtb_can_team(int n) {
        static __thread int tried = 1;
        if (n > tried && mtb_try_team(n)) tried = n;
        return n <= tried;
    }
    /* A sleeping thread may be woken on the CPU of the one that wakes it. The two then take turns, and the scheduler,
     * which never sees both waiting, leaves them there. So a thread of a team that finds itself where its region was
     * started asks for any other CPU, once in a while; it is free to run anywhere again at once. */
    #if defined(__linux__) && defined(_OPENMP)
    #include <omp.h>
    #include <sched.h>
    static int mtb_room = 0, mtb_home = -1; /* does each thread have a CPU; where the region was started */
    static void mtb_set_room(int room) { mtb_room = room; }
    static void mtb_start_region(void) { if (mtb_room) mtb_home = sched_getcpu(); }
    static void mtb_spread(void) {
        static __thread unsigned met;
        cpu_set_t all, others;
        int here;
        if (!mtb_room || omp_get_thread_num() == 0) return;
        here = sched_getcpu();
        if (here < 0 || here != mtb_home || met++ % 2 || sched_getaffinity(0, sizeof all, &all)) return;
        others = all;
        CPU_CLR(here, &others);
        if (CPU_COUNT(&others) && !sched_setaffinity(0, sizeof others, &others)) sched_setaffinity(0, sizeof all, &all);
    }
    #else
    static void mtb_set_room(int room) { (void)room; }
    static void mtb_start_region(void) {}
    static void mtb_spread(void) {}
    #endif
    #include <unistd.h>
    static int64_t mtb_last_cache(void) {
    #ifdef _SC_LEVEL3_CACHE_SIZE
        int64_t n = sysconf(_SC_LEVEL3_CACHE_SIZE);
        return n > 0 ? n : 0;
    #else
        return 0;
    #endif
    }
    static void mtb_huge_pages(void *p, size_t n) {
    #ifdef MADV_HUGEPAGE
        madvise(p, n, MADV_HUGEPAGE);
    #else
        (void)p; (void)n;
    #endif
    }
    #ifdef __GLIBC__
    #include <malloc.h>
    static void mtb_trim(void) { malloc_trim(0); } /* what is free between blocks in use goes back, too */
    #else
    static void mtb_trim(void) {}
    #endif
    static void mtb_forget(char *p, size_t n) { /* the contents of the whole pages in it: the system may have them */
        char *from = p + (-(uintptr_t)p & 4095);
        madvise(from, (size_t)(p + n - from) & ~(size_t)4095, MADV_DONTNEED);
    }
    """
    int MTB_OPENMP
    const char* MTB_BUILD_FLAGS
    int mtb_forked
    int mtb_watch_fork()
    int mtb_can_team(int n) noexcept nogil
    int MTB_MOST_THREADS
    void mtb_set_room(int room)
    void mtb_start_region() noexcept nogil
    void mtb_spread() noexcept nogil
    i64 mtb_last_cache()
    void mtb_huge_pages(void* p, size_t n) nogil
    void mtb_forget(char* p, size_t n) nogil
    void mtb_trim()
    int __builtin_clzll(unsigned long long x) nogil


# -- threads -----------------------------------------------------------------------------------------------------------

cdef int threads = 1
# Waking a team costs a few microseconds, as much as one core needs for this many element operations. The answer is one
# thread or all of them, never between: libgomp ends and starts threads whenever the size of the team changes.
cdef i64 WORTH_A_TEAM = 65536
cdef i64 WORTH_RELEASING = 20000      # that take as long as giving the GIL away and getting it back


# Results that do not fit are written past the last-level cache. Where the system does not tell its size: 32 MB.
cdef i64 CACHE = 1 << 25


cdef int team(i64 work) noexcept nogil:
    if work < WORTH_A_TEAM or mtb_forked or not mtb_can_team(threads):
        return 1
    mtb_start_region()
    return threads


cdef void spread() noexcept nogil:
    mtb_spread()


cdef int phase_now = 0
cdef int[2] inside = [0, 0]           # Python threads in regions that were entered in this phase, and in the one before


cdef int enter() noexcept:
    inside[phase_now] += 1
    return phase_now


cdef void leave(int phase) noexcept:
    inside[phase] -= 1


cdef bint turn_phase() noexcept:
    global phase_now
    if inside[1 - phase_now]:
        return False
    phase_now = 1 - phase_now
    return True


cdef void run_tasks(task body, void* plan, i64 count, i64 work) noexcept:
    cdef mtb_shares shares
    cdef i64 i
    cdef int t, size = team(work) if count > 1 else 1
    cdef int phase = enter()
    if size > 1:
        mtb_share_out(&shares, count, size)
        for t in prange(size, num_threads=size, schedule="static", nogil=True):
            i = mtb_next_task(&shares, t)
            while i >= 0:
                mtb_spread()
                body(plan, i)
                i = mtb_next_task(&shares, t)
    elif work > WORTH_RELEASING:
        with nogil:
            for i in range(count):
                body(plan, i)
    else:
        for i in range(count):
            body(plan, i)
    leave(phase)


cdef void share_tasks(roomy_task body, const void* plan, i64 count, int threads, char* scratch, i64 room) noexcept:
    cdef mtb_shares shares
    cdef i64 i
    cdef int t
    cdef int phase = enter()
    if threads == 1 or count == 1:
        with nogil:
            for i in range(count):
                body(plan, i, scratch)
    else:
        mtb_share_out(&shares, count, threads)
        for t in prange(threads, num_threads=threads, schedule="static", nogil=True):
            i = mtb_next_task(&shares, t)
            while i >= 0:
                mtb_spread()
                body(plan, i, scratch + t * room)
                i = mtb_next_task(&shares, t)
    leave(phase)


def get_num_threads():
    """The number of threads that one operation uses at most."""
    return 1 if mtb_forked else threads


def set_num_threads(int n):
    """Let one operation use up to `n` threads, or 1024. Results do not depend on it, to the last bit."""
    global threads
    if n < 1:
        raise RuntimeError("set_num_threads expects a positive integer")
    threads = min(n, MTB_MOST_THREADS) if MTB_OPENMP else 1
    mtb_set_room(1 < threads <= (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0))


def _quota():
    """The cores that the control group's quota allows (version 2, then 1), or None."""
    for path in ("/sys/fs/cgroup/cpu.max", "/sys/fs/cgroup/cpu/cpu.cfs_quota_us"):
        try:
            with open(path) as file:
                words = file.read().split()
            if len(words) == 1:
                with open(path.replace("quota", "period")) as file:
                    words += file.read().split()
            if words[0] not in ("max", "-1"):
                return max(1, int(words[0]) // int(words[1]))
        except (OSError, ValueError, IndexError, ZeroDivisionError):
            continue
    return None


def _default_threads():
    """The first of MTB_NUM_THREADS and OMP_NUM_THREADS that is set; else the cores that this process may use."""
    for name in ("MTB_NUM_THREADS", "OMP_NUM_THREADS"):
        word = os.environ.get(name, "").split(",")[0].strip()
        if word.isdigit() and int(word) > 0:
            return int(word)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, _quota() or cores)


# -- levels ------------------------------------------------------------------------------------------------------------

def levels():
    """The names of the levels of this build that this machine runs, worst first."""
    names = []
    while mtb_nth_level(len(names)) != NULL:
        names.append(mtb_nth_level(len(names)).name.decode())
    return names


def get_level():
    """The name of the level in use."""
    return K.name.decode()


def set_level(str name):
    """Use the kernels of that level from now on (for tests: results do not depend on it, to the last bit)."""
    global K
    cdef bytes text = name.encode()
    cdef const mtb_level* level = mtb_find_level(text)
    if level == NULL:
        raise ValueError(f"MTB_ISA={name!r}: this build on this machine has the levels {', '.join(levels())}")
    K = level


def build_info():
    """How this build was made: {"openmp": bool, "flags": str}."""
    return {"openmp": bool(MTB_OPENMP), "flags": MTB_BUILD_FLAGS.decode()}


include "allocator.pxi"    # take, give and what a user asks about memory


def _start():
    cdef int i
    cdef int[10] sizes
    sizes[:] = [1, 1, 1, 2, 4, 8, 2, 2, 4, 8]
    for i in range(10):
        ITEMSIZE[i] = sizes[i]
    global K, CACHE
    CACHE = max(mtb_last_cache() or CACHE, <i64> 1 << 22)
    if mtb_watch_fork() != 0:
        raise MemoryError("cannot register the fork handler")
    name = os.environ.get("MTB_ISA")
    if name:
        set_level(name)
    else:
        K = mtb_best_level()
    set_num_threads(_default_threads())
    set_cache_limit(int(os.environ.get("MTB_CACHE_MB", "1024")) << 20)


_start()
