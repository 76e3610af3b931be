# The schedule of one backward pass: which nodes it reaches, in which order they can run, and the gradients under way.
# No recursion, so a graph may be a million nodes deep; no state outside the pass, so threads may run at once.

ctypedef struct slot:
    PyObject* node       # borrowed: kept alive by the graph, or by the list `alive`
    PyObject* grad       # owned: a Tensor, a list for several outputs, or NULL
    PyObject* more       # owned: another Tensor, still to be added to it, or NULL
    int waiting          # edges that still have to deliver
    int edges            # all that deliver
    bint owned           # grad was summed here and may be added to in place
    bint needed          # leads to something that was asked for
    bint masked          # grad is that of relu(output), for a sum with that output: the node undoes the ReLU too
    bint ready           # grad is what the node itself gives: it has run with another

cdef class _Run:
    """One backward pass: its nodes in an order in which they can run, and a table from node to slot."""
    cdef slot* slots
    cdef Py_ssize_t count, room
    cdef Py_ssize_t* table       # open addressing; index + 1, or 0
    cdef size_t mask
    cdef Py_ssize_t* order
    cdef Py_ssize_t* ready       # a stack of nodes that nothing waits for, while the order is being found
    cdef Py_ssize_t done, top    # how many the order and the stack hold

    def __dealloc__(self):
        cdef Py_ssize_t i
        for i in range(self.count):
            Py_XDECREF(self.slots[i].grad)
            Py_XDECREF(self.slots[i].more)
            Py_DECREF(<object> self.slots[i].node)
        PyMem_Free(self.slots)
        PyMem_Free(self.table)
        PyMem_Free(self.order)
        PyMem_Free(self.ready)

    cdef inline size_t place(self, PyObject* node) noexcept:
        """Where node is, or should go, in the table."""
        cdef size_t h = (<uintptr_t> node >> 4) * <size_t> 0x9E3779B97F4A7C15u
        h = (h >> 20) & self.mask
        while self.table[h] and self.slots[self.table[h] - 1].node != node:
            h = (h + 1) & self.mask
        return h

    cdef inline slot* find(self, PyObject* node) noexcept:
        cdef size_t h
        if self.count == 0:
            return NULL
        h = self.place(node)
        return &self.slots[self.table[h] - 1] if self.table[h] else NULL

    cdef int grow(self) except -1:
        cdef Py_ssize_t i, size = 64 if self.room == 0 else 2 * self.room
        cdef slot* bigger = <slot*> PyMem_Realloc(self.slots, size * sizeof(slot))
        cdef Py_ssize_t* table
        if bigger == NULL:
            raise MemoryError
        self.slots = bigger
        table = <Py_ssize_t*> PyMem_Malloc(2 * size * sizeof(Py_ssize_t))
        if table == NULL:
            raise MemoryError
        PyMem_Free(self.table)
        self.table, self.room, self.mask = table, size, 2 * size - 1
        memset(table, 0, 2 * size * sizeof(Py_ssize_t))
        for i in range(self.count):
            table[self.place(self.slots[i].node)] = i + 1
        return 0

    cdef Py_ssize_t index(self, object node) except -1:
        """The slot of node, made if it is new."""
        cdef size_t h
        cdef Py_ssize_t i
        if self.count == self.room:
            self.grow()
        h = self.place(<PyObject*> node)
        if self.table[h]:
            return self.table[h] - 1
        i = self.count
        memset(&self.slots[i], 0, sizeof(slot))
        Py_INCREF(node)
        self.slots[i].node = <PyObject*> node
        self.table[h] = i + 1
        self.count += 1
        return i

    cdef int visit(self, object edge) except -1:
        """One more delivery is to come along this edge."""
        cdef Py_ssize_t i
        if edge is not None:
            i = self.index(edge)
            self.slots[i].waiting += 1
            self.slots[i].edges += 1
        return 0

    cdef int discover(self, list roots) except -1:
        """Find every node below the roots (new ones join the end of slots), then an order in which they can run."""
        cdef Py_ssize_t i = 0
        cdef Node n
        for root in roots:
            self.index(root)
        while i < self.count:
            if isinstance(<object> self.slots[i].node, Node):
                n = <Node> <object> self.slots[i].node
                self.visit(n.e0)
                self.visit(n.e1)
                self.visit(n.e2)
                if n.edges_more is not None:
                    for edge, _ in n.edges_more:
                        self.visit(edge)
            i += 1
        self.order = <Py_ssize_t*> PyMem_Malloc(max(1, self.count) * sizeof(Py_ssize_t))
        self.ready = <Py_ssize_t*> PyMem_Malloc(max(1, self.count) * sizeof(Py_ssize_t))
        if self.order == NULL or self.ready == NULL:
            raise MemoryError
        for i in range(self.count - 1, -1, -1):
            if self.slots[i].waiting == 0:
                self.can_run(i)
        while self.top:
            self.top -= 1
            i = self.ready[self.top]
            self.order[self.done] = i
            self.done += 1
            n = <Node> <object> self.slots[i].node
            if n.edges_more is not None:
                for edge, _ in reversed(n.edges_more):
                    self.deliver(edge)
            self.deliver(n.e2)
            self.deliver(n.e1)
            self.deliver(n.e0)
        return 0

    cdef void can_run(self, Py_ssize_t i) noexcept:
        """A leaf runs at once, so that its hooks see its gradient as early as may be; a node waits its turn."""
        if isinstance(<object> self.slots[i].node, Node):
            self.ready[self.top] = i
            self.top += 1
        else:
            self.order[self.done] = i
            self.done += 1

    cdef void deliver(self, object edge) noexcept:
        cdef Py_ssize_t i
        if edge is None:
            return
        i = self.table[self.place(<PyObject*> edge)] - 1
        self.slots[i].waiting -= 1
        if self.slots[i].waiting == 0:
            self.can_run(i)

    cdef int mark_needed(self, list targets) except -1:
        """Only what leads to a target runs (None: everything)."""
        cdef Py_ssize_t i, j
        cdef slot* s
        cdef Node n
        if targets is None:
            for i in range(self.count):
                self.slots[i].needed = True
            return 0
        for target in targets:
            s = self.find(<PyObject*> target)
            if s != NULL:
                s.needed = True
        for j in range(self.count - 1, -1, -1):
            s = &self.slots[self.order[j]]
            if not s.needed and isinstance(<object> s.node, Node):
                for edge, _ in edges_of(<Node> <object> s.node):
                    if edge is not None and self.find(<PyObject*> edge).needed:
                        s.needed = True
                        break
        return 0

    cdef int receive(self, object edge, int nr, object grad, bint create_graph) except -1:
        """A gradient arrives at output nr of a node, or at a leaf; what arrives twice is added."""
        cdef slot* s
        cdef Tensor g = <Tensor?> grad
        if edge is None:
            return 0
        s = self.find(<PyObject*> edge)
        if s == NULL or not s.needed:
            return 0
        if isinstance(edge, Node) and (<Node> edge).nout > 1:
            if s.grad == NULL:
                outputs = [None] * (<Node> edge).nout
                Py_INCREF(outputs)
                s.grad = <PyObject*> outputs
            outputs = <list> s.grad
            outputs[nr] = g if outputs[nr] is None else add(<Tensor> outputs[nr], g)
            return 0
        if s.grad == NULL:
            Py_INCREF(g)
            s.grad = <PyObject*> g
            return 0
        if s.more != NULL:
            self.add_up(s, self.take_more(s), create_graph)
        if not create_graph and adds_later(edge, <Tensor> <object> s.grad, g):
            Py_INCREF(g)
            s.more = <PyObject*> g
            return 0
        return self.add_up(s, g, create_graph)

    cdef int add_up(self, slot* s, Tensor g, bint create_graph) except -1:
        cdef Tensor sum_ = <Tensor> <object> s.grad
        if s.owned and not create_graph and same_shape(sum_, g) and sum_.dtype == g.dtype:
            elementwise_inplace(OP_ADD, sum_, g, None, NULL)
            return 0
        total = add(sum_, g)
        sum_ = None
        Py_INCREF(total)
        Py_DECREF(<object> s.grad)
        s.grad = <PyObject*> total
        s.owned = True
        return 0

    cdef object take_more(self, slot* s):
        more = <object> s.more
        Py_DECREF(more)
        s.more = NULL
        return more

    cdef object take_grad(self, slot* s):
        grad = <object> s.grad
        Py_DECREF(grad)
        s.grad = NULL
        return grad
