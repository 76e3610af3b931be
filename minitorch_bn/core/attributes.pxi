# Attributes that a user sets on a tensor: in a dict, as on any object, but one that is made with the first attribute.
# Cython would make one for every tensor; so Python is told here where to find, and make, the dict, and the garbage
# collector to look into it. Attributes and methods of a tensor are then looked up as fast as those of any object.
#
# And attributes of modules: Python's way to `_parameters["weight"]` is to look everywhere else, make an AttributeError
# with its message, drop it, and call __getattr__; that takes longer than a small layer.

cdef extern from *:
    """
    static Py_ssize_t mtb_dict;
    static traverseproc mtb_traverse_rest;
    static inquiry mtb_clear_rest;
    static destructor mtb_dealloc_rest;
    #define MTB_DICT(o) (*(PyObject **)((char *)(o) + mtb_dict))
    static int mtb_traverse(PyObject *o, visitproc visit, void *arg) {
        Py_VISIT(MTB_DICT(o));
        return mtb_traverse_rest(o, visit, arg);
    }
    static int mtb_clear(PyObject *o) {
        Py_CLEAR(MTB_DICT(o));
        return mtb_clear_rest(o);
    }
    static void mtb_dealloc(PyObject *o) {
        if (MTB_DICT(o)) {
            PyObject_GC_UnTrack(o);
            Py_CLEAR(MTB_DICT(o));
        }
        mtb_dealloc_rest(o);
    }
    static void mtb_keep_attributes(PyObject *type, Py_ssize_t offset) {
        PyTypeObject *t = (PyTypeObject *)type;
        mtb_traverse_rest = t->tp_traverse, mtb_clear_rest = t->tp_clear, mtb_dealloc_rest = t->tp_dealloc;
        t->tp_traverse = mtb_traverse, t->tp_clear = mtb_clear, t->tp_dealloc = mtb_dealloc;
        t->tp_dictoffset = mtb_dict = offset;
        PyType_Modified(t);
    }

    static PyObject *mtb_stores[3];
    static getattrofunc mtb_getattr_rest;
    /* Where the type has no such name: the object's dict, then what is stored in its parts. */
    static PyObject *mtb_stored(PyObject *o, PyObject *name) {
        PyObject *found = NULL, *dict, *store;
        if (_PyType_Lookup(Py_TYPE(o), name)) return mtb_getattr_rest(o, name);
        if (!(dict = PyObject_GenericGetDict(o, NULL))) return NULL;
        found = PyDict_GetItemWithError(dict, name);
        for (int i = 0; i < 3 && !found && !PyErr_Occurred(); i++) {
            store = PyDict_GetItemWithError(dict, mtb_stores[i]);
            if (store && PyDict_Check(store)) found = PyDict_GetItemWithError(store, name);
        }
        Py_XINCREF(found);
        Py_DECREF(dict);
        return found || PyErr_Occurred() ? found : mtb_getattr_rest(o, name);
    }
    static void mtb_look_in_stores(PyObject *type) {
        PyTypeObject *t = (PyTypeObject *)type;
        if (t->tp_getattro != mtb_stored) mtb_getattr_rest = t->tp_getattro;
        t->tp_getattro = mtb_stored;
        PyType_Modified(t);
    }
    """
    void mtb_keep_attributes(object type, Py_ssize_t offset)
    void mtb_look_in_stores(object type)
    PyObject** mtb_stores


cdef extern from "Python.h":
    object PyObject_GenericGetDict(object o, void* context)


cdef int keep_attributes() except -1:
    cdef Tensor t = Tensor.__new__(Tensor)
    mtb_keep_attributes(Tensor, <char*> &t.extra - <char*> <PyObject*> t)
    install("__dict__", property(lambda self: PyObject_GenericGetDict(self, NULL), doc="Attributes that were set."))
    return 0


keep_attributes()


def look_in_stores(type kind not None, tuple names not None):
    """Have a class find attributes in the three dicts of these names before its __getattr__ is asked, which finds the
    same there."""
    for i in range(3):
        Py_INCREF(names[i])
        mtb_stores[i] = <PyObject*> names[i]
    mtb_look_in_stores(kind)
