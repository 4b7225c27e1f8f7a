/* list.h */
#include "test.h"

#include "list.h"

struct item {
    int number;
    struct drv_list link;
};

static int number_of(struct drv_list *link)
{
    return DRV_LIST_ITEM(link, struct item, link)->number;
}

static void assert_numbers(struct drv_list *head, const char *expected)
{
    char found[32] = "";
    size_t len = 0;
    DRV_LIST_EACH(link, head)
    {
        found[len++] = (char)('0' + number_of(link));
    }
    found[len] = '\0';
    assert_string_equal(found, expected);
    len = 0;
    for (struct drv_list *link = head->prev; link != head; link = link->prev) {
        len++;
    }
    assert_int_equal(len, strlen(expected)); /* the same backwards */
}

static void make_items(struct item *items, int count, struct drv_list *head)
{
    drv_list_init(head);
    for (int i = 0; i < count; i++) {
        items[i].number = i;
        drv_list_push_back(head, &items[i].link);
    }
}

/* Items come out in the order they were pushed, from both ends. */
static void test_list_push_keeps_order(void **state)
{
    struct item items[3];
    struct item first = {.number = 9};
    struct drv_list head;
    make_items(items, 3, &head);
    drv_list_push_front(&head, &first.link);
    assert_numbers(&head, "9012");
    assert_int_equal(number_of(drv_list_first(&head)), 9);
    assert_int_equal(number_of(drv_list_last(&head)), 2);
    assert_int_equal(number_of(drv_list_pop_front(&head)), 9);
    assert_numbers(&head, "012");
}

/* A removed item is linked nowhere, and removing it again does nothing. */
static void test_list_remove_twice_is_harmless(void **state)
{
    struct item items[3];
    struct drv_list head;
    make_items(items, 3, &head);
    drv_list_remove(&items[1].link);
    drv_list_remove(&items[1].link);
    assert_false(drv_list_is_linked(&items[1].link));
    assert_true(drv_list_is_linked(&items[0].link));
    assert_numbers(&head, "02");
}

/* An empty list has no first, no last, nothing to pop. */
static void test_list_empty_gives_null(void **state)
{
    struct drv_list head;
    drv_list_init(&head);
    assert_true(drv_list_is_empty(&head));
    assert_null(drv_list_first(&head));
    assert_null(drv_list_last(&head));
    assert_null(drv_list_pop_front(&head));
}

/* The safe walk may remove every item it visits. */
static void test_list_safe_walk_survives_removal(void **state)
{
    struct item items[4];
    struct drv_list head;
    make_items(items, 4, &head);
    DRV_LIST_EACH_SAFE(link, &head)
    {
        if (number_of(link) != 2) {
            drv_list_remove(link);
        }
    }
    assert_numbers(&head, "2");
}

/* Splicing moves everything to the end and leaves the source empty. */
static void test_list_splice_moves_all(void **state)
{
    struct item items[2];
    struct item others[2] = {{.number = 5}, {.number = 6}};
    struct drv_list head;
    struct drv_list from;
    make_items(items, 2, &head);
    drv_list_init(&from);
    drv_list_splice_back(&head, &from);
    assert_numbers(&head, "01");
    drv_list_push_back(&from, &others[0].link);
    drv_list_push_back(&from, &others[1].link);
    drv_list_splice_back(&head, &from);
    assert_numbers(&head, "0156");
    assert_true(drv_list_is_empty(&from));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_list_push_keeps_order),
        cmocka_unit_test(test_list_remove_twice_is_harmless),
        cmocka_unit_test(test_list_empty_gives_null),
        cmocka_unit_test(test_list_safe_walk_survives_removal),
        cmocka_unit_test(test_list_splice_moves_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
