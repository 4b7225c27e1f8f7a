#include "question.h"

#include "data.h"

#include <stdlib.h>
#include <string.h>

void worker_questions_init(struct worker_questions *questions)
{
    drv_list_init(&questions->open);
    questions->count = 0;
    questions->last_req = 0;
}

static void question_free(struct worker_question *question)
{
    drv_data_unref(&question->bytes);
    drv_data_unref(&question->data);
    free(question);
}

void worker_questions_fini(struct worker_questions *questions)
{
    DRV_LIST_EACH_SAFE(link, &questions->open)
    {
        struct worker_question *question = DRV_LIST_ITEM(link, struct worker_question, link);
        worker_questions_remove(questions, &question);
    }
}

static const char *put(struct drv_data *bytes, size_t *at, const void *from, size_t len)
{
    char *to = (char *)bytes->bytes + *at;
    if (len > 0) {
        memcpy(to, from, len);
    }
    *at += len;
    return to;
}

static drover_status copy_kv(struct worker_question *question, const struct drv_kv *kv)
{
    size_t at = 0;
    bool by_reference = kv->val.data != NULL;
    size_t val_len = kv->val.is_nil || by_reference ? 0 : kv->val.len;
    drover_status status = drv_data_new(kv->key.len + kv->val.content_type.len + val_len,
                                        &question->bytes);
    if (status != DROVER_OK) {
        return status;
    }
    struct drv_kv *copy = &question->kv;
    *copy = *kv;
    copy->key.ptr = put(question->bytes, &at, kv->key.ptr, kv->key.len);
    if (kv->val.content_type.ptr != NULL) {
        copy->val.content_type.ptr = put(question->bytes, &at, kv->val.content_type.ptr,
                                         kv->val.content_type.len);
    }
    if (by_reference) {
        question->data = drv_data_ref(kv->val.data);
    } else if (!kv->val.is_nil) {
        copy->val.bytes = (const uint8_t *)put(question->bytes, &at, kv->val.bytes, val_len);
    }
    return DROVER_OK;
}

drover_status worker_questions_add(struct worker_questions *questions, uint64_t key,
                                   uint64_t call, const struct drv_kv *kv, int64_t deadline_us,
                                   struct worker_question **out_question)
{
    struct worker_question *question = calloc(1, sizeof *question);
    if (question == NULL) {
        return DROVER_NOMEM;
    }
    if (copy_kv(question, kv) != DROVER_OK) {
        question_free(question);
        return DROVER_NOMEM;
    }
    question->req = ++questions->last_req;
    question->key = key;
    question->call = call;
    question->deadline_us = deadline_us;
    drv_list_push_back(&questions->open, &question->link);
    questions->count++;
    *out_question = question;
    return DROVER_OK;
}

struct worker_question *worker_questions_find(struct worker_questions *questions, uint64_t req)
{
    DRV_LIST_EACH(link, &questions->open)
    {
        struct worker_question *question = DRV_LIST_ITEM(link, struct worker_question, link);
        if (question->req == req) {
            return question;
        }
    }
    return NULL;
}

uint64_t worker_questions_floor(const struct worker_questions *questions)
{
    struct drv_list *first = drv_list_first(&questions->open);
    return first == NULL ? questions->last_req + 1
                         : DRV_LIST_ITEM(first, struct worker_question, link)->req;
}

void worker_questions_remove(struct worker_questions *questions,
                             struct worker_question **question)
{
    drv_list_remove(&(*question)->link);
    questions->count--;
    question_free(*question);
    *question = NULL;
}

void worker_questions_forget(struct worker_questions *questions, uint64_t key)
{
    DRV_LIST_EACH_SAFE(link, &questions->open)
    {
        struct worker_question *question = DRV_LIST_ITEM(link, struct worker_question, link);
        if (question->key == key) {
            worker_questions_remove(questions, &question);
        }
    }
}
