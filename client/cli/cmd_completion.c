/*
 * cmd_completion.c: completion, and what its scripts ask.
 *
 * The scripts hold no list: at each Tab they ask `drover __complete -- WORD...`, whose answer
 * (complete.h) is made from the table of commands and, for the names of types, queues and
 * workers, from the broker if it answers at once.
 */
#include "command.h"

#include "complete.h"
#include "deadline.h"
#include "doc.h"
#include "endpoint.h"

#include <string.h>

enum { NAMES_MS = 300 }; /* for the broker to answer; a person is waiting with Tab pressed */

/* ---- the scripts ------------------------------------------------------------------------- */

static const char bash_script[] =
    "# bash completion of drover: source it, or put it where bash-completion looks.\n"
    "_drover() {\n"
    "    local IFS=$'\\n' line prefix part cur words cword\n"
    "    if declare -F _get_comp_words_by_ref >/dev/null; then\n"
    "        _get_comp_words_by_ref -n =: cur words cword\n"
    "    else\n"
    "        words=(\"${COMP_WORDS[@]}\") cword=$COMP_CWORD cur=${COMP_WORDS[COMP_CWORD]}\n"
    "    fi\n"
    "    prefix=\n"
    "    part=$cur\n"
    "    [[ $cur == --*=* ]] && part=${cur#--*=}\n"
    "    if [[ $cur == *[=:]* && $COMP_WORDBREAKS == *=* && $COMP_WORDBREAKS == *:* ]]; then\n"
    "        prefix=${cur%\"${cur##*[=:]}\"}\n"
    "    fi\n"
    "    COMPREPLY=()\n"
    "    while read -r line; do\n"
    "        case $line in\n"
    "        :files)\n"
    "            compopt -o filenames 2>/dev/null\n"
    "            COMPREPLY+=($(compgen -f -- \"$part\"))\n"
    "            ;;\n"
    "        :commands) COMPREPLY+=($(compgen -c -- \"$part\")) ;;\n"
    "        *) COMPREPLY+=(\"${line%%$'\\t'*}\") ;;\n"
    "        esac\n"
    "    done < <(\"${words[0]}\" __complete -- \"${words[@]:1:cword}\" 2>/dev/null)\n"
    "    COMPREPLY=(\"${COMPREPLY[@]#\"$prefix\"}\")\n"
    "}\n"
    "complete -F _drover drover\n";

static const char zsh_script[] =
    "#compdef drover\n"
    "# zsh completion of drover: source it after compinit, or put it as _drover into $fpath.\n"
    "_drover() {\n"
    "    local line word\n"
    "    local -a lines described\n"
    "    lines=(\"${(@f)$(\"${(Q)words[1]}\" __complete -- "
    "\"${(@Q)words[2,CURRENT]}\" 2>/dev/null)}\")\n"
    "    for line in $lines; do\n"
    "        case $line in\n"
    "        :files) compset -P '--*='; _files ;;\n"
    "        :commands) _command_names -e ;;\n"
    "        *)\n"
    "            word=${line%%$'\\t'*}\n"
    "            described+=(\"${word//:/\\\\:}:${${line#$word}#$'\\t'}\")\n"
    "            ;;\n"
    "        esac\n"
    "    done\n"
    "    if (( $#described )); then\n"
    "        _describe -t values drover described\n"
    "    fi\n"
    "}\n"
    "if [[ ${zsh_eval_context[-1]-} == loadautofunc ]]; then\n"
    "    _drover \"$@\"\n"
    "else\n"
    "    compdef _drover drover\n"
    "fi\n";

static const char fish_script[] =
    "# fish completion of drover: source it, or put it into ~/.config/fish/completions.\n"
    "function __drover_complete\n"
    "    set -l words (commandline -opc)\n"
    "    set -l current (commandline -ct)\n"
    "    for line in ($words[1] __complete -- $words[2..-1] \"$current\" 2>/dev/null)\n"
    "        switch $line\n"
    "            case :files\n"
    "                __fish_complete_path \"$current\"\n"
    "            case :commands\n"
    "                __fish_complete_command\n"
    "            case '*'\n"
    "                echo $line\n"
    "        end\n"
    "    end\n"
    "end\n"
    "complete -c drover -f -a '(__drover_complete)'\n";

static int print_script(struct cli *cli)
{
    static const struct {
        const char *shell;
        const char *script;
    } scripts[] = {{"bash", bash_script}, {"zsh", zsh_script}, {"fish", fish_script}};
    const char *shell = cli_operand(cli, 0);
    for (size_t i = 0; i < sizeof(scripts) / sizeof(scripts[0]); i++) {
        if (strcmp(scripts[i].shell, shell) == 0) {
            (void)fputs(scripts[i].script, stdout);
            return CLI_OK;
        }
    }
    return cli_say(CLI_USAGE, "completion: '%s' is none of bash, zsh, fish", shell);
}

const struct cli_command cmd_completion = {
    .name = "completion",
    .summary = "a script that completes drover's command line",
    .usage = "bash|zsh|fish",
    .about = "For the shell at hand:  source <(drover completion bash)   (zsh alike)\n"
             "                        drover completion fish | source",
    .operand_min = 1,
    .operand_max = 1,
    .first = CLI_WORD_SHELL,
    .run = print_script,
};

/* ---- what they ask ----------------------------------------------------------------------- */

struct request {
    struct cli *cli;
    const char *endpoint; /* NULL: the usual one */
};

#define LOCAL "local://"

/* The broker that the line to be completed names. */
static const char *endpoint_in(const char *const *words, size_t count)
{
    const char *endpoint = NULL;
    for (size_t i = 0; i + 1 < count; i++) {
        if (strncmp(words[i], "--local", strlen("--local")) == 0) {
            return LOCAL;
        }
        if (strncmp(words[i], "--broker=", strlen("--broker=")) == 0) {
            endpoint = words[i] + strlen("--broker=");
        } else if (strcmp(words[i], "--broker") == 0) {
            endpoint = words[i + 1];
        } else {
            /* another word */
        }
    }
    return endpoint;
}

static void offer_names(const drover_value *document, enum cli_word kind,
                        struct complete *complete)
{
    char name[DOC_TEXT_MAX];
    const char *key = kind == CLI_WORD_QUEUE     ? "queues"
                      : kind == CLI_WORD_WORKER  ? "workers"
                      : kind == CLI_WORD_GROUP   ? "groups"
                      : kind == CLI_WORD_ACCOUNT ? "accounts"
                                                 : "types";
    drover_value *rows = doc_get(document, key);
    drover_value *row = NULL;
    drover_value_iter iter;
    if (rows == NULL) {
        return;
    }
    drover_value_iter_init(&iter, rows);
    while (drover_value_iter_next(&iter, NULL, &row) == DROVER_OK) {
        complete_name(complete, doc_text(row, "name", name, sizeof(name)));
        drover_value_destroy(&row);
    }
    drover_value_destroy(&rows);
}

static drover_status ask_document(drover_client *client, enum cli_word kind, int64_t timeout_ms,
                                  drover_value **out_document)
{
    return kind == CLI_WORD_GROUP ? drover_group_list(client, 0, NULL, timeout_ms, out_document)
           : kind == CLI_WORD_ACCOUNT
               ? drover_account_list(client, 0, NULL, timeout_ms, out_document)
               : drover_status_get(client, timeout_ms, out_document);
}

/* Nothing is said when there is no broker: the person is typing. */
static void ask_names(void *context, enum cli_word kind, struct complete *complete)
{
    struct request *request = context;
    struct deadline deadline = deadline_in(NAMES_MS);
    drover_value *document = NULL;
    drover_client_options options = DROVER_CLIENT_OPTIONS_INIT;
    const char *endpoint = request->endpoint != NULL
                               ? request->endpoint
                               : drv_options_string(request->cli->options, "broker");
    options.connect_timeout_ms = NAMES_MS;
    cli_keys(request->cli, &options);
    if (!endpoint_is_local(endpoint) && /* a pool is made for work, not for a Tab */
        drover_client_open(endpoint, &options, &request->cli->client) == DROVER_OK &&
        deadline_left(deadline) > 0 &&
        ask_document(request->cli->client, kind, deadline_left(deadline), &document) ==
            DROVER_OK) {
        offer_names(document, kind, complete);
    }
    drover_value_destroy(&document);
}

enum { WORDS_MAX = 1024 };

static int answer(struct cli *cli)
{
    const char *words[WORDS_MAX];
    size_t count = cli_operand_count(cli);
    if (count > WORDS_MAX) {
        return CLI_OK;
    }
    for (size_t i = 0; i < count; i++) {
        words[i] = cli_operand(cli, i);
    }
    struct request request = {.cli = cli, .endpoint = endpoint_in(words, count)};
    struct complete complete = {.out = stdout, .names = ask_names, .context = &request};
    complete_words(&complete, words, count);
    return CLI_OK;
}

const struct cli_command cmd_complete = {
    .name = "__complete",
    .summary = "what could stand at the cursor, for the completion scripts",
    .usage = "-- WORD...",
    .hidden = true,
    .operand_max = SIZE_MAX,
    .run = answer,
};
