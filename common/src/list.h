/*
 * list.h: intrusive doubly linked list.
 *
 * A struct drv_list serves as head and as the link inside items. An initialised list points
 * to itself, so unlinking needs no head and no case distinction. Nothing is allocated.
 */
#ifndef DRV_LIST_H
#define DRV_LIST_H

#include "check.h"

#include <stdbool.h>
#include <stddef.h>

struct drv_list {
    struct drv_list *next;
    struct drv_list *prev;
};

/* Walks items; the body must not remove the current one (see the _SAFE form). */
#define DRV_LIST_EACH(link, head) \
    for (struct drv_list *link = (head)->next; link != (head); link = link->next)

/* Walks items; the body may remove the current one, but no other. */
#define DRV_LIST_EACH_SAFE(link, head)                                                    \
    for (struct drv_list *link = (head)->next, *link##_next = link->next; link != (head); \
         link = link##_next, link##_next = link->next)

#define DRV_LIST_ITEM(link, type, member) DRV_CONTAINER_OF(link, type, member)

static inline void drv_list_init(struct drv_list *list)
{
    list->next = list;
    list->prev = list;
}

static inline bool drv_list_is_empty(const struct drv_list *head)
{
    return head->next == head;
}

/* Whether an initialised link is in some list. */
static inline bool drv_list_is_linked(const struct drv_list *link)
{
    return link->next != link;
}

/* Inserts link, which must be in no list, right after where. */
static inline void drv_list_insert_after(struct drv_list *where, struct drv_list *link)
{
    link->next = where->next;
    link->prev = where;
    where->next->prev = link;
    where->next = link;
}

static inline void drv_list_push_front(struct drv_list *head, struct drv_list *link)
{
    drv_list_insert_after(head, link);
}

static inline void drv_list_push_back(struct drv_list *head, struct drv_list *link)
{
    drv_list_insert_after(head->prev, link);
}

/* Takes link out of its list; harmless when it is in none. */
static inline void drv_list_remove(struct drv_list *link)
{
    link->prev->next = link->next;
    link->next->prev = link->prev;
    drv_list_init(link);
}

/* The first link or NULL. */
static inline struct drv_list *drv_list_first(const struct drv_list *head)
{
    return drv_list_is_empty(head) ? NULL : head->next;
}

/* The last link or NULL. */
static inline struct drv_list *drv_list_last(const struct drv_list *head)
{
    return drv_list_is_empty(head) ? NULL : head->prev;
}

/* Removes and returns the first link, or NULL. */
static inline struct drv_list *drv_list_pop_front(struct drv_list *head)
{
    struct drv_list *link = drv_list_first(head);
    if (link != NULL) {
        drv_list_remove(link);
    }
    return link;
}

/* Moves all items of from to the end of head, in order; from is empty afterwards. */
static inline void drv_list_splice_back(struct drv_list *head, struct drv_list *from)
{
    if (drv_list_is_empty(from)) {
        return;
    }
    from->next->prev = head->prev;
    head->prev->next = from->next;
    from->prev->next = head;
    head->prev = from->prev;
    drv_list_init(from);
}

#endif
