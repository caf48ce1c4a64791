"""Those who have watchers on a hub, and are to take them away before it is destroyed.

A watcher that is active keeps itself, and through its callback much more, for ever: a loop that is
destroyed does not stop it.
"""


def move_in(hub, tenant):
    """Have ``tenant.leave()`` called before ``hub`` is destroyed. On the hub's own thread."""
    vars(hub).setdefault("_gs_tenants", {})[id(tenant)] = tenant


def move_out(hub, tenant):
    """Nothing of the ``tenant`` is on ``hub`` any more."""
    vars(hub).get("_gs_tenants", {}).pop(id(tenant), None)


def evict_from(hub):
    """To be called before ``hub`` is destroyed."""
    for tenant in list(vars(hub).pop("_gs_tenants", {}).values()):
        tenant.leave()
