#include "evaluation/report.h"
void kd_report_html(const kd_report *r, kd_buf *out)
{
    kd_report_json(r, out);
}
