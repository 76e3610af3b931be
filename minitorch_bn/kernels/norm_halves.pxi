# Half types: a task turns its data to floats in a room of its thread's, works there, and turns results back (part of
# norm.pyx).

cdef enum:
    ROOM = 1 << 15           # values that a task turns to floats, about
    MOST_HALVES = 1 << 18    # of one statistic


cdef bint takes_half(const Channels* view) noexcept:
    return view.columns or (view.c // view.per >= 8 and view.n * view.per * view.s <= MOST_HALVES)


cdef void half_task(const void* plan, i64 i, char* room) noexcept nogil:
    cdef Plan q = (<Plan*> plan)[0]
    q.data.room = room
    q.data.body(&q, i)


cdef void run(task each, Plan* q, i64 count, i64 work) noexcept:
    """run_tasks; of a half type, in rooms."""
    if not q.data.half:
        run_tasks(each, q, count, work)
        return
    q.each = each
    q.data.body = half_tile if q.view.columns else half_planes if each == map_planes_task else half_channels
    if q.data.body == half_channels:
        count = ceil_div(count, q.together)
    share_tasks(half_task, q, count, q.data.threads, q.data.rooms, q.room // q.data.threads)


cdef void in_room(Plan* half, Plan* q, i64 first, i64 count, i64 runs, i64 n, i64 offset, i64 stride, i64 there,
                  bint writes) noexcept nogil:
    """Tasks of q, half's plan as if floats lay where the room is. The data are runs of n, from that offset on; q takes
    them to be `there`."""
    cdef i64 i
    q.data.half = 0
    q.y = values(&half.data, half.x, offset, runs, n, stride, 0) - 4 * there
    q.x = q.y
    if half.dy != NULL:
        q.dx = values(&half.data, half.dy, offset, runs, n, stride, 1) - 4 * there
        q.dy = q.g = q.dx
    for i in range(first, first + count):
        q.each(q, i)
    if writes:
        settle(&half.data, half.y if half.dy == NULL else half.dx, offset, runs, n, stride, half.dy != NULL)


cdef void half_channels(void* plan, i64 i) noexcept nogil:
    """All of some neighbouring statistics."""
    cdef Plan* half = <Plan*> plan
    cdef Plan q = half[0]
    cdef i64 first = i * q.together, count = min(q.together, statistics(&q) - first), size = q.view.per * q.view.s
    q.view.stride_n = count * size
    q.of_channel = cut(q.view.n, q.view.s, q.view.stride_n)
    if q.view.per == 1:
        q.of_statistic = q.of_channel
    in_room(half, &q, first, count, q.view.n, count * size, first * size, half.view.stride_n, first * size, True)


cdef void half_planes(void* plan, i64 i) noexcept nogil:
    cdef Plan q = (<Plan*> plan)[0]
    cdef i64 offset, count, length
    block(q.view.n * q.view.c, q.view.s, q.view.s, i, &offset, &count, &length)
    in_room(<Plan*> plan, &q, i, 1, 1, count * length, offset, 0, offset, True)


cdef void half_tile(void* plan, i64 i) noexcept nogil:
    cdef Plan* half = <Plan*> plan
    cdef Plan q = half[0]
    cdef i64 rows, col, cols, offset = tile(&q, i, &rows, &col, &cols)
    q.stride = cols
    in_room(half, &q, i, 1, rows, cols, offset, half.stride, tile(&q, i, &rows, &col, &cols),
            q.each == apply_tile_task or q.each == backward_tile_task)
