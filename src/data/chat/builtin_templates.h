#pragma once
#include <array>
#include <string_view>
#include <utility>

namespace lomo {

/// Chat templates for model folders that have none. A system message that a layout has no place
/// for goes before the first message of the user.
inline constexpr std::array<std::pair<std::string_view, std::string_view>, 7> kBuiltinTemplates{{
    {"chatml", R"({%- for message in messages -%}
    {{- '<|im_start|>' ~ message.role ~ '\n' -}}
    {%- if message.role == 'assistant' -%}
        {%- generation -%}{{- message.content ~ '<|im_end|>' -}}{%- endgeneration -%}
    {%- else -%}
        {{- message.content ~ '<|im_end|>' -}}
    {%- endif -%}
    {{- '\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\n' -}}{%- endif -%})"},
    {"llama2", R"({%- set ns = namespace(system='') -%}
{%- for message in messages -%}
    {%- if message.role == 'system' -%}
        {%- set ns.system = '<<SYS>>\n' ~ message.content ~ '\n<</SYS>>\n\n' -%}
    {%- elif message.role == 'user' -%}
        {{- bos_token ~ '[INST] ' ~ ns.system ~ message.content | trim ~ ' [/INST]' -}}
        {%- set ns.system = '' -%}
    {%- elif message.role == 'assistant' -%}
        {%- generation -%}{{- ' ' ~ message.content | trim ~ ' ' ~ eos_token -}}{%- endgeneration -%}
    {%- else -%}
        {{- raise_exception('llama2 knows the roles system, user and assistant') -}}
    {%- endif -%}
{%- endfor -%})"},
    {"llama3", R"({{- bos_token -}}
{%- for message in messages -%}
    {{- '<|start_header_id|>' ~ message.role ~ '<|end_header_id|>\n\n' -}}
    {%- if message.role == 'assistant' -%}
        {%- generation -%}{{- message.content | trim ~ '<|eot_id|>' -}}{%- endgeneration -%}
    {%- else -%}
        {{- message.content | trim ~ '<|eot_id|>' -}}
    {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{- '<|start_header_id|>assistant<|end_header_id|>\n\n' -}}
{%- endif -%})"},
    {"mistral", R"({{- bos_token -}}
{%- set ns = namespace(system='') -%}
{%- for message in messages -%}
    {%- if message.role == 'system' -%}
        {%- set ns.system = message.content ~ '\n\n' -%}
    {%- elif message.role == 'user' -%}
        {{- '[INST] ' ~ ns.system ~ message.content ~ ' [/INST]' -}}
        {%- set ns.system = '' -%}
    {%- elif message.role == 'assistant' -%}
        {%- generation -%}{{- ' ' ~ message.content | trim ~ eos_token -}}{%- endgeneration -%}
    {%- else -%}
        {{- raise_exception('mistral knows the roles system, user and assistant') -}}
    {%- endif -%}
{%- endfor -%})"},
    {"zephyr", R"({%- for message in messages -%}
    {{- '<|' ~ message.role ~ '|>\n' -}}
    {%- if message.role == 'assistant' -%}
        {%- generation -%}{{- message.content ~ eos_token -}}{%- endgeneration -%}
    {%- else -%}
        {{- message.content ~ eos_token -}}
    {%- endif -%}
    {{- '\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|assistant|>\n' -}}{%- endif -%})"},
    {"vicuna", R"({{- bos_token -}}
{%- for message in messages -%}
    {%- if message.role == 'system' -%}
        {{- message.content ~ ' ' -}}
    {%- elif message.role == 'user' -%}
        {{- 'USER: ' ~ message.content ~ ' ' -}}
    {%- elif message.role == 'assistant' -%}
        {{- 'ASSISTANT:' -}}
        {%- generation -%}{{- ' ' ~ message.content ~ eos_token -}}{%- endgeneration -%}
    {%- else -%}
        {{- raise_exception('vicuna knows the roles system, user and assistant') -}}
    {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- 'ASSISTANT:' -}}{%- endif -%})"},
    {"alpaca", R"({{- bos_token -}}
{%- for message in messages -%}
    {%- if message.role == 'system' -%}
        {{- message.content ~ '\n\n' -}}
    {%- elif message.role == 'user' -%}
        {{- '### Instruction:\n' ~ message.content ~ '\n\n' -}}
    {%- elif message.role == 'assistant' -%}
        {{- '### Response:\n' -}}
        {%- generation -%}{{- message.content ~ eos_token -}}{%- endgeneration -%}
        {{- '\n\n' -}}
    {%- else -%}
        {{- raise_exception('alpaca knows the roles system, user and assistant') -}}
    {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '### Response:\n' -}}{%- endif -%})"},
}};

}  // namespace lomo
