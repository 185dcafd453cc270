/* stopwords.c - function words by language, folded as kd_text folds: what says nothing about a
 * product. They also tell languages apart, so words that several languages share are in each list.
 * @thread any: constant data
 */
#include "operators/stem.h"

#include <stddef.h>

static const kd_stop_list lists[] = {
    {"english",
     "a about all an and any are as at be been but by can do for from had has have he her his how "
     "i if in into is it its me more my no nor not of off on or other our out over own she so some "
     "such than that the their them then there these they this those to too under up very was we "
     "were what when where which who will with you your"},
    {"german",
     "aber alle als am an auch auf aus bei bin bis das dass dem den der des die diese diesem "
     "diesen dieser dieses durch ein eine einem einen einer eines er es für gegen hat ich ihr im "
     "in ist ja kann kein keine man mit nach nicht noch nur ob oder ohne sehr sein sich sie sind "
     "so sowie über um und unter uns vom von vor war wie wir wird zu zum zur"},
    {"french",
     "à au aux avec ce ces cette dans de des du elle en est et eux il ils je la le les leur lui ma "
     "mais me mes moi mon ne nos notre nous on ou où par pas pour qu que qui sa sans se ses son "
     "sont sous sur ta te tes toi ton tu un une vos votre vous y"},
    {"spanish",
     "a al ante con contra de del desde durante e el ella ellas ellos en entre era es esta este "
     "esto ha hasta la las le les lo los más me mi muy no nos o otra otro para pero por que se sin "
     "sobre son su sus también te tu un una uno unos y ya yo"},
    {"italian",
     "a ad agli ai al alla alle allo anche che chi ci con da dai dal dalla dalle degli dei del "
     "della delle dello di e ed è gli ha i il in io la le lo ma mi nei nel nella nelle no noi non "
     "o per più quella questo se si sono su sua sul sulla tra tu un una uno"},
    {"portuguese",
     "a ao aos as até com como da das de do dos e é ela ele em entre essa esse esta este eu foi "
     "isso já mais mas me na não nas no nos o os ou para pela pelo por que se sem ser seu sua são "
     "também te um uma"},
    {"dutch",
     "aan al als bij dan dat de der deze die dit door een en er haar heeft het hij hoe ik in is je "
     "kan maar me meer met mijn na naar niet nog nu of om onder ons ook op over te tot uit uw van "
     "veel voor was wat we wel werd wij ze zich zij zijn zo zonder"},
    {"swedish",
     "alla att av blev den det dig din du där efter eller en er ett från för ha han har hon i icke "
     "inte jag kan man med men mig mot mycket ni nu när och om oss på sig sin ska som till under "
     "upp ut utan var vi vid är över"},
    {"danish",
     "af alle at blev bliver da de dem den der det dig din du efter eller en er et for fra ham han "
     "har hende her hos hun hvad i ikke ind jeg kan man med men mig min ned noget og om op os over "
     "på sig sin skal som til ud under var vi vil være"},
    {"norwegian",
     "alle at av ble da de den der det du eller en er et etter for fra ha han har hun hva i ikke "
     "inn jeg kan man med men meg min når og om opp oss over på seg sin skal som til under uten ut "
     "var ved vi vil være"},
    {"finnish",
     "ei että he hän ja jo joka kanssa kuin kun me mikä minä mutta myös ne niin nyt ole oli on "
     "ovat se sekä sen siinä sinä tai te tämä vain voi"},
    {"russian",
     "без бы был была были было в вам вас весь во вот все всего вы где да для до его ее если есть "
     "еще же за и из или им их к как ко который ли мне мой мы на над не нет ни но о об он она они "
     "от по под при с со так также там то того тоже только тот ты у уже чем что это этот я"},
    {"*", "的 了 和 是 在 与 及 或 等 之 为 也 都 而 把 被 就 这 那 个 们 "
          "我 你 您 他 她 它 我们 你们 他们 我的 你的 您的 他的 她的 以及 并 并且 可以 の は が を "
          "に で と も "
          "へ や から "
          "まで より です ます する した และ ของ ที่ ใน เป็น มี ได้ ให้ จาก กับ"},
    {NULL, NULL},
};

const kd_stop_list *kd_stop_lists(void)
{
    return lists;
}
